"""The class of an instance: the majority of the semantic map under its mask (the report 2.5, reference code).

Ties go to the lowest class id. In fusion void does not vote; in merging it votes as a class of its own, as in the
reference code.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mbps_dataset.stages.instances.inputs import semantic_map, void_id
from mbps_dataset.stages.instances.types import UNKNOWN_CLASS, Instances


def majority_classes(
    instances: Instances, semantic: NDArray[np.integer], *, ignore: int | None = None
) -> NDArray[np.int64]:
    """Most frequent class under each mask, int64 [N]; `ignore` does not vote; −1 where nothing votes."""
    votes = semantic.ravel()[instances.pixels()]
    winners = np.full(len(instances), UNKNOWN_CLASS, dtype=np.int64)
    areas = instances.areas
    filled = np.flatnonzero(areas)
    if not len(filled):
        return winners
    begins = np.cumsum(areas) - areas
    starts = begins[filled]
    lowest, highest = np.minimum.reduceat(votes, starts), np.maximum.reduceat(votes, starts)
    winners[filled] = lowest
    for index in filled[lowest != highest]:
        winners[index] = _most_frequent(votes[begins[index] :][: areas[index]], ignore)
    if ignore is not None:
        winners[winners == ignore] = UNKNOWN_CLASS
    return winners


def _most_frequent(votes: NDArray[np.integer], ignore: int | None) -> int:
    counts = np.bincount(votes)
    if ignore is not None and ignore < len(counts):
        counts[ignore] = 0
    return int(np.argmax(counts)) if counts.any() else UNKNOWN_CLASS


def vote_classes(instances: Instances, semantic: ArrayLike, *, void: int | None = None) -> Instances:
    """The same instances with `class_ids` by majority; those over void alone are dropped.

    Raises `ValueError` if the masks and `semantic` differ in size.
    """
    labels = semantic_map(semantic)
    check_same_frame(instances, labels)
    winners = majority_classes(instances, labels, ignore=void_id(labels, void))
    known = np.flatnonzero(winners != UNKNOWN_CLASS)
    return instances.select(known).replace(class_ids=winners[known])


def check_same_frame(instances: Instances, semantic: NDArray[np.integer]) -> None:
    """Raises `ValueError` if the masks and the semantic map differ in size."""
    if instances.shape != semantic.shape:
        raise ValueError(
            f"Expected instances and `semantic` to share (H, W), but got {instances.shape} and {semantic.shape}; "
            "resize one of them."
        )
