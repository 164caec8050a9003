"""Making a panoptic network to train: of a kind and from a random start, on a backbone, or from weights that there are."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from mbps_dataset.errors import WeightsError
from mbps_dataset.models.panoptic.loading import load_panoptic
from mbps_dataset.models.panoptic.network import PanopticNetwork


def fresh_panoptic(
    kind: str, class_names: Sequence[str], thing_ids: Sequence[int], supervision: str, *, backbone: str | None = None
) -> PanopticNetwork:
    """A network of one of the `KINDS` with these classes, from torch's default generator.

    `backbone` is a folder or Hub id of a pretrained backbone, for the kinds that take one. Raises `WeightsError` for an
    unknown kind, for a backbone that cannot be had, or if the kind takes none.
    """
    if kind not in KINDS:
        raise WeightsError(f"There is no panoptic network {kind!r}; networks are {', '.join(KINDS)}.")
    return KINDS[kind](tuple(class_names), tuple(thing_ids), supervision, backbone)


def continued_panoptic(start: str, supervision: str) -> PanopticNetwork:
    """The network of a folder or Hub id, to be trained further: its weights, with what they will have seen then.

    Raises `WeightsError` if it cannot be loaded.
    """
    found = load_panoptic(start)
    config = dataclasses.replace(found.config, supervision=supervision)
    network = type(found)(config)
    network.load_state_dict(found.state_dict())
    return network


def _dense(names: tuple[str, ...], things: tuple[int, ...], supervision: str, backbone: str | None) -> PanopticNetwork:
    from mbps_dataset.models.panoptic.dense import DenseConfig, DensePanoptic

    if backbone is not None:
        raise WeightsError(
            f"The dense network takes no backbone; give --network mask2former to start from {backbone}."
        )
    return DensePanoptic(DenseConfig(class_names=names, thing_ids=things, supervision=supervision))


def _mask2former(
    names: tuple[str, ...], things: tuple[int, ...], supervision: str, backbone: str | None
) -> PanopticNetwork:
    from mbps_dataset.models.panoptic.mask2former import Mask2FormerPanoptic, Mask2FormerPanopticConfig

    held: dict[str, Any] = {"class_names": names, "thing_ids": things, "supervision": supervision}
    if backbone is None:
        return Mask2FormerPanoptic(Mask2FormerPanopticConfig(**held))
    return Mask2FormerPanoptic.on_backbone(backbone, **held)


KINDS: dict[str, Callable[[tuple[str, ...], tuple[int, ...], str, str | None], PanopticNetwork]] = {
    "dense": _dense,
    "mask2former": _mask2former,
}
"""How a network of each kind is made; imports are late, because some are large."""
