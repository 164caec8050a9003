"""Making a panoptic network to train: of a kind and from a random start, on a backbone, or from weights that there are."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mbps_dataset.errors import WeightsError
from mbps_dataset.models.panoptic.loading import load_panoptic
from mbps_dataset.models.panoptic.network import PanopticNetwork


def fresh_panoptic(
    kind: str,
    class_names: Sequence[str],
    thing_ids: Sequence[int],
    supervision: str,
    *,
    backbone: str | None = None,
    settings: Mapping[str, Any] | None = None,
) -> PanopticNetwork:
    """A network of one of the `KINDS` with these classes, from torch's default generator.

    `backbone` is a pretrained backbone, for the kinds that take one; `settings` are others of its configuration. Raises
    `WeightsError` for an unknown kind, for a backbone that cannot be had, or if the kind takes none; `RecipeError` for a
    setting that cannot be.
    """
    _require_kind(kind)
    held = {"class_names": tuple(class_names), "thing_ids": tuple(thing_ids), "supervision": supervision}
    return KINDS[kind](backbone, {**(settings or {}), **held})


def continued_panoptic(
    start: str,
    supervision: str,
    *,
    classes: tuple[Sequence[str], Sequence[int]] | None = None,
    kept: Callable[[str], bool] = lambda _: True,
    settings: Mapping[str, Any] | None = None,
) -> PanopticNetwork:
    """The network of a folder or Hub id, to be trained further: its weights, with what they will have seen then.

    `classes` are other names and things than it has; then only the tensors for whose name `kept` holds are taken over, and
    the rest begins at random. `settings` are others of its configuration. Raises `WeightsError` if it cannot be loaded,
    `RecipeError` for a setting that cannot be.
    """
    found = load_panoptic(start)
    changes: dict[str, Any] = {**(settings or {}), "supervision": supervision}
    if hasattr(found.config, "label_free"):  # was said of the published weights; from now on the record says it
        changes["label_free"] = False
    if classes is not None:
        changes |= {"class_names": tuple(classes[0]), "thing_ids": tuple(classes[1])}
    return changed_panoptic(found, changes, kept=(lambda _: True) if classes is None else kept)


def changed_panoptic(
    network: PanopticNetwork, settings: Mapping[str, Any], *, kept: Callable[[str], bool] = lambda _: True
) -> PanopticNetwork:
    """The network with other settings of its configuration, such as thresholds, its record, and the tensors that are `kept`.

    Raises `WeightsError` for a setting with which its tensors do not fit, `RecipeError` for one that cannot be.
    """
    changed = type(network)(dataclasses.replace(network.config, **settings))
    theirs = {name: tensor for name, tensor in network.state_dict().items() if kept(name)}
    try:
        changed.load_state_dict({**changed.state_dict(), **theirs})
    except RuntimeError as error:
        names = ", ".join(settings)
        raise WeightsError(
            f"The weights do not fit these settings ({names}): {' '.join(str(error).split())[:300]}"
        ) from None
    changed.record = network.record
    return changed.eval()


def configuration_of(kind: str) -> type:
    """The configuration of a kind, whose fields are what `settings` may name. Raises `WeightsError` for an unknown kind."""
    _require_kind(kind)
    return _CONFIGURATIONS[kind]()


def _require_kind(kind: str) -> None:
    if kind not in KINDS:
        raise WeightsError(f"There is no panoptic network {kind!r}; networks are {', '.join(KINDS)}.")


def _dense(backbone: str | None, held: dict[str, Any]) -> PanopticNetwork:
    from mbps_dataset.models.panoptic.dense import DensePanoptic

    if backbone is not None:
        raise WeightsError(
            f"The dense network takes no backbone; give --network mask2former or cascade to start from {backbone}."
        )
    return DensePanoptic(_dense_configuration()(**held))


def _dense_configuration() -> type:
    from mbps_dataset.models.panoptic.dense import DenseConfig

    return DenseConfig


def _mask2former(backbone: str | None, held: dict[str, Any]) -> PanopticNetwork:
    from mbps_dataset.models.panoptic.mask2former import Mask2FormerPanoptic

    if backbone is None:
        return Mask2FormerPanoptic(_mask2former_configuration()(**held))
    return Mask2FormerPanoptic.on_backbone(backbone, **held)


def _mask2former_configuration() -> type:
    from mbps_dataset.models.panoptic.mask2former import Mask2FormerPanopticConfig

    return Mask2FormerPanopticConfig


def _cascade(backbone: str | None, held: dict[str, Any]) -> PanopticNetwork:
    from mbps_dataset.models.cascade.dino_backbone import load_dino_backbone
    from mbps_dataset.models.cascade.network import CascadeMaskRCNN

    network = CascadeMaskRCNN(_cascade_configuration()(**held))
    if backbone is not None:
        load_dino_backbone(network, backbone)
    return network


def _cascade_configuration() -> type:
    from mbps_dataset.models.cascade.config import CascadeConfig

    return CascadeConfig


KINDS: dict[str, Callable[[str | None, dict[str, Any]], PanopticNetwork]] = {
    "dense": _dense,
    "mask2former": _mask2former,
    "cascade": _cascade,
}
"""How a network of each kind is made; imports are late, because some are large."""

_CONFIGURATIONS: dict[str, Callable[[], type]] = {
    "dense": _dense_configuration,
    "mask2former": _mask2former_configuration,
    "cascade": _cascade_configuration,
}
