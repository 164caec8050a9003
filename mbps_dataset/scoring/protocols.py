"""A named protocol (`metrics.protocols`) applied to labels: which one, how it matches these predictions, and what it cuts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mbps_dataset.errors import InputError
from mbps_dataset.formats.image_segmentation import Labels
from mbps_dataset.formats.label_source import LabelSource
from mbps_dataset.metrics.protocols import PROTOCOLS, Protocol


def chosen_protocol(name: str, matching: str | None) -> Protocol:
    """The protocol of a name. Raises `InputError` for an unknown one, and for a `matching` that is not its own."""
    if name not in PROTOCOLS:
        raise InputError(f"--protocol {name} is not known; there is {', '.join(PROTOCOLS)}.")
    found = PROTOCOLS[name]
    if matching not in (None, "none", found.matching):
        raise InputError(f"--protocol {name} matches clusters by {found.matching}; leave out --matching {matching}.")
    return found


def matching_by(protocol: Protocol, predicted: LabelSource, *, clusters: bool) -> str:
    """How `protocol` matches predictions, which are `clusters` if somebody says so: "none" for named classes.

    Raises `InputError` for more clusters than it can match.
    """
    own = predicted.label_set
    if not clusters and (own is None or own.named):
        return "none"
    if own is not None and protocol.most_clusters is not None and len(own.class_names) > protocol.most_clusters:
        raise InputError(
            f"{predicted.name}: has {len(own.class_names)} clusters, and this protocol is of {protocol.most_clusters}; it gives the "
            "others no class. Take cups-27, which does."
        )
    return protocol.matching


def cut_labels(protocol: Protocol, labels: Labels) -> Labels:
    """Labels scaled and cut as `protocol` says."""
    if protocol.short_side is None and protocol.crop_hw is None:
        return labels

    def cut(array: NDArray[Any] | None) -> NDArray[Any] | None:
        return None if array is None else protocol.cut(np.asarray(array))

    semantic = protocol.cut(np.asarray(labels.semantic))
    return replace(
        labels, semantic=semantic, instance=cut(labels.instance), crowd=cut(labels.crowd), depth=cut(labels.depth)
    )
