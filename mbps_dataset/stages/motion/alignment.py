"""Semantics aligned to instances: every pixel of an instance takes the class that most of its pixels have.

Pixels outside all instances keep their class (CUPS, section 3.3). The alternative is `cut_by_class`: pixels keep their
class, and an instance falls apart into those of its classes (what CUPS' Table 5 begins with).

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
from mbps_dataset.stages.instances.types import UNKNOWN_CLASS, Instances
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


def objects_as_things(
    aligned: ArrayLike, semantic: ArrayLike, instance_map: ArrayLike, things: ArrayLike, *, void: int | None = None
) -> SemanticMap:
    """`aligned` [H, W] with every instance in one of the classes `things`, because it moves by itself (ours).

    An instance of another class takes that of `things` which most of its pixels have in `semantic` [H, W], the class map
    before it was aligned, and is void where none of them has one: to be stuff would be wrong for sure. `instance_map` and
    `void` as in `align_semantics`. Raises `ValueError` if the sizes differ or a map cannot be read as such.

    >>> objects_as_things([[5, 5, 5, 3]], [[5, 5, 7, 3]], [[1, 1, 1, 0]], [7]).tolist()
    [[7, 7, 7, 3]]
    """
    labels, out = semantic_map(semantic), semantic_map(aligned).copy()
    instances, _ = instances_of_map(instance_map)
    check_same_frame(instances, labels)
    check_same_frame(instances, out)
    blank = void_id(labels, void)
    own = majority_classes(instances, out, ignore=blank)
    among_things = majority_classes(instances, np.where(np.isin(labels, things), labels, blank), ignore=blank)
    chosen = np.where(np.isin(own, things), own, np.where(among_things == UNKNOWN_CLASS, blank, among_things))
    out.ravel()[instances.pixels()] = chosen[instances.owners()]
    return out


def cut_by_class(instances: Instances, semantic: ArrayLike, class_ids: ArrayLike) -> Instances:
    """The part of every instance in every one of `class_ids` that it has, in order of instance and class.

    `semantic` [H, W] class ids; scores stay. Where masks overlap each keeps its pixels. Raises `ValueError` if the sizes
    differ or the map cannot be read as such.

    >>> parts = cut_by_class(Instances([[[0, 1, 1, 1]]]), [[5, 5, 6, 7]], [5, 7])
    >>> parts.class_ids.tolist(), parts.masks().astype(int).tolist()
    ([5, 7], [[[0, 1, 0, 0]], [[0, 0, 0, 1]]])
    """
    labels = semantic_map(semantic)
    check_same_frame(instances, labels)
    parts: list[tuple[NDArray[np.int64], int, float]] = []
    for pixels, score in zip(instances, instances.scores.tolist()):
        found = labels.ravel()[pixels]
        for class_id in np.intersect1d(found, np.asarray(class_ids)).tolist():
            parts.append((pixels[found == class_id], class_id, score))
    return Instances.from_pixels(
        instances.shape, [pixels for pixels, _, _ in parts], [part[1] for part in parts], [part[2] for part in parts]
    )
