"""Semantics aligned to instances: every pixel of an instance takes the class that most of its pixels have.

Pixels outside all instances keep their class (CUPS, section 3.3).

Decisions made here:

* id 0 is the background, void does not vote, and of equally frequent classes the lowest wins;
* ``reference=True`` does as CUPS' code: void is class 0; class 0 loses every tie (it is carried as 255); the smallest
  id of the map is the background whatever it is. Where that id is the only one nothing can be aligned; the code fails
  on it, and here there is a reason.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mbps_dataset.arrays import SemanticMap
from mbps_dataset.stages.instances.class_vote import check_same_frame, majority_classes
from mbps_dataset.stages.instances.inputs import semantic_map, void_id
from mbps_dataset.stages.instances.types import UNKNOWN_CLASS
from mbps_dataset.stages.motion.instance_maps import instances_of_map


@dataclass(frozen=True)
class AlignedSemantics:
    """`semantic` [H, W] of the type given; `ids` int64 [N] of the instances aligned, rising, and their `class_ids`
    [N].

    A class of −1 means that all of the instance is void; `reason` why nothing could be aligned, else None.
    """

    semantic: SemanticMap
    ids: NDArray[np.int64]
    class_ids: NDArray[np.int64]
    reason: str | None = None


def align_semantics(
    semantic: ArrayLike, instance_map: ArrayLike, *, void: int | None = None, reference: bool = False
) -> AlignedSemantics:
    """The class map in which every instance has one class, the majority of its pixels.

    `semantic` [H, W] class ids; `instance_map` [H, W], 0 none; `void` 255, or 65535 in uint16 maps. See the module for
    `reference`. Raises `ValueError` if the sizes differ or a map cannot be read as such.
    """
    labels = semantic_map(semantic)
    instances, ids = instances_of_map(instance_map)
    check_same_frame(instances, labels)
    blank = void_id(labels, void)
    aligned, reason = labels.copy(), None
    if reference:
        aligned[labels == blank] = 0
        if len(ids) and instances.areas.sum() == labels.size:
            # The smallest id counts as background.
            reason = f"instance {ids[0]} covers the whole image" if len(ids) == 1 else None
            instances, ids = instances.select(np.arange(1, len(ids))), ids[1:]
        last = int(aligned.max(initial=0)) + 1
        votes = np.where(aligned == 0, last, aligned.astype(np.int64))
        winners = majority_classes(instances, votes) % last
    else:
        winners = majority_classes(instances, labels, ignore=blank)
    aligned.ravel()[instances.pixels()] = np.where(winners == UNKNOWN_CLASS, blank, winners)[instances.owners()]
    return AlignedSemantics(aligned, ids, winners, reason)
