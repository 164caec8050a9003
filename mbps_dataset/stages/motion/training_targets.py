"""Training targets: what a panoptic network learns from one image's classes and moving objects.

Semantic targets: 0 for every thing class together, 1 … for the stuff classes by falling ratio, void for the rest.
Instance targets: the objects of thing classes, with the rank of their class among the things. Objects of stuff classes
are no instances, and their pixels are void (CUPS, section 3.4; boxes hold their last pixel).

Decisions made here:

* an object's class is the majority of its pixels, and void does not vote. CUPS' code takes the highest id inside, so
  that one void pixel makes a thing into stuff; the pixels of stuff objects stay in an image that keeps no thing.
  ``reference=True`` does both;
* pixels of thing classes without an object are void, as the paper says, with `ignore_unknown_things`; without it they
  stay class 0, as in the code's released settings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mbps_dataset.arrays import Mask
from mbps_dataset.stages.instances.class_vote import check_same_frame, majority_classes
from mbps_dataset.stages.instances.inputs import semantic_map, void_id
from mbps_dataset.stages.instances.types import UNKNOWN_CLASS, Instances
from mbps_dataset.stages.motion.instance_maps import instances_of_map


TARGET_VOID = 255


@dataclass(frozen=True)
class TrainingTargets:
    """`semantic` uint8 [H, W], 0 any thing, 1 … stuff, 255 void; `instances` of things, classes by rank; by rising id.

    `reason` why there is no instance, else None.
    """

    semantic: NDArray[np.uint8]
    instances: Instances
    reason: str | None = None

    def boxes(self) -> NDArray[np.int64]:
        """(left, top, right, bottom) of each instance, the last pixel included; int64 [N, 4]."""
        boxes = self.instances.boxes()
        return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:] - 1], axis=1)


def training_targets(
    semantic: ArrayLike,
    instance_map: ArrayLike,
    things: Sequence[int],
    stuff: Sequence[int],
    *,
    crop: tuple[int, int] | None = None,
    ignore_unknown_things: bool = False,
    void: int | None = None,
    reference: bool = False,
) -> TrainingTargets:
    """Targets of one image, from `semantic` [H, W] aligned to `instance_map` [H, W], 0 none.

    `things` and `stuff` class ids by falling ratio (`thing_statistics.split_by_motion`); `crop` (height, width) of the
    middle, at most the image's size; `void` 255, or 65535 in uint16 maps. See the module for the rest. Raises
    `ValueError` if the sizes differ, `crop` is larger than the image, a class is in both lists, or there are more than
    254 of stuff.
    """
    numbers = np.asarray(instance_map)
    labels = semantic_map(semantic)
    check_same_frame(instances_of_map(numbers)[0], labels)
    if crop is not None:
        labels, numbers = _middle(labels, crop), _middle(numbers, crop)
    instances, _ = instances_of_map(numbers)
    class_ids = _class_of(instances, labels, void_id(labels, void), reference)
    rank = {class_id: place for place, class_id in enumerate(things)}
    kept = np.array([class_id in rank for class_id in class_ids.tolist()], dtype=bool)
    moving = instances.select(kept).replace(class_ids=[rank[class_id] for class_id in class_ids[kept].tolist()])
    targets = _without_unknown(_target_classes(labels, things, stuff), numbers, ignore_unknown_things)
    if kept.any() or not reference:
        targets.ravel()[instances.select(~kept).pixels()] = TARGET_VOID
    reason = None
    if not kept.any():
        reason = f"all {len(kept)} moving objects are of stuff classes" if len(kept) else "there is no moving object"
    return TrainingTargets(targets, moving, reason)


def holds_objects(instance_map: ArrayLike) -> bool:
    """Whether an image has any object at all, of a thing class or not: those CUPS trains on."""
    return bool(np.any(np.asarray(instance_map) > 0))


def _class_of(instances: Instances, labels: NDArray[np.integer], void: int, reference: bool) -> NDArray[np.int64]:
    if not reference:
        return majority_classes(instances, labels, ignore=void)
    highest = np.full(len(instances), UNKNOWN_CLASS, dtype=np.int64)
    np.maximum.at(highest, instances.owners(), labels.ravel()[instances.pixels()].astype(np.int64))
    return highest


def _target_classes(labels: NDArray[np.integer], things: Sequence[int], stuff: Sequence[int]) -> NDArray[np.uint8]:
    both = sorted(set(things) & set(stuff))
    if both:
        raise ValueError(f"Class {both[0]} is listed as a thing and as stuff; a class is one of them.")
    if len(stuff) >= TARGET_VOID:
        raise ValueError(f"Expected at most {TARGET_VOID - 1} stuff classes, but got {len(stuff)}; use fewer classes.")
    highest = max([int(labels.max(initial=0)), *things, *stuff])
    table = np.full(highest + 1, TARGET_VOID, dtype=np.uint8)
    table[list(things)] = 0
    table[list(stuff)] = np.arange(1, len(stuff) + 1)
    return table[labels]


def _without_unknown(targets: NDArray[np.uint8], numbers: NDArray[np.integer], ignore: bool) -> NDArray[np.uint8]:
    unknown: Mask = (targets == 0) & (numbers == 0)
    return np.where(unknown & ignore, np.uint8(TARGET_VOID), targets)


def _middle(values: NDArray[np.integer], crop: tuple[int, int]) -> NDArray[np.integer]:
    height, width = values.shape
    if not (0 < crop[0] <= height and 0 < crop[1] <= width):
        raise ValueError(f"Expected a crop of at most {height} × {width}, but got {crop[0]} × {crop[1]}.")
    top, left = (height - crop[0]) // 2, (width - crop[1]) // 2
    return values[top : top + crop[0], left : left + crop[1]]
