"""Panoptic fusion: instances, stuff and left-over thing pixels become one map of segments.

Three orders, by name:

* ``report`` (the report 2.5, reference code's label writer): instances by falling score, painted on free pixels only;
  then stuff; then what is left of the thing classes as connected components with score 0.1;
* ``evaluator`` (the reference code's sweep evaluator): stuff first, then instances in the order given on free pixels
  only; thing pixels without an instance stay void;
* ``overwrite`` (the reference code's file evaluator, behind the report's headline number): stuff first, then instances
  by falling score, each over what earlier ones painted, so that small ones win. There a fully overwritten instance
  still counts as a false positive; a map cannot hold it, so here it is gone.

In all three an instance's class is the majority of the semantic map under its mask; instances of no thing class and
instances or regions below the minimum area are left out. Equal scores keep their order (the reference code's sort is
not stable).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mbps_dataset.stages.instances.class_vote import check_same_frame, majority_classes
from mbps_dataset.stages.instances.components import class_keys, label_components
from mbps_dataset.stages.instances.inputs import check_things_exclude_void, semantic_map, thing_ids, void_id
from mbps_dataset.stages.instances.runs import Runs
from mbps_dataset.stages.instances.types import Instances
from mbps_dataset.stages.panoptic import Panoptic, Segment


__all__ = ["FALLBACK_SCORE", "FusionOrder", "Panoptic", "Segment", "fuse"]

FusionOrder = Literal["report", "evaluator", "overwrite"]

FALLBACK_SCORE = 0.1
"""Score of a left-over component (reference code)."""


def fuse(
    semantic: ArrayLike,
    instances: Instances,
    things: Iterable[int],
    *,
    min_stuff_area: int = 64,
    min_instance_area: int = 10,
    order: FusionOrder = "report",
    fallback_min_area: float | None = None,
    void: int | None = None,
) -> Panoptic:
    """One segment per pixel at most, from a class map and instances.

    `semantic` [H, W] class ids; `things` class ids, every other id but void is stuff; areas in pixels: `min_stuff_area`
    per class and image, `min_instance_area` for a mask and for what is left of it; `fallback_min_area` for left-over
    thing components (default: `min_instance_area` in the report's order, none in the others; ``math.inf``: none);
    `void` 255, or 65535 in uint16 maps.

    Raises `ValueError` if sizes differ, `order` is unknown, or `things` lists void.

    One car on a road, with a pixel that nobody could name:

    >>> semantic = np.array([[0, 0, 0, 255], [13, 13, 0, 0]])
    >>> car = Instances(semantic[None] == 13, class_ids=[13], scores=[1.0])
    >>> street = fuse(semantic, car, [13], min_stuff_area=1, min_instance_area=1)
    >>> street.segment_map.tolist()
    [[2, 2, 2, 0], [1, 1, 2, 2]]
    >>> [(segment.class_id, segment.isthing, segment.area) for segment in street.segments]
    [(13, True, 2), (0, False, 5)]
    """
    labels = semantic_map(semantic)
    check_same_frame(instances, labels)
    blank, classes = void_id(labels, void), thing_ids(things)
    check_things_exclude_void(classes, blank)
    canvas = _Canvas(labels, classes, blank)
    if order == "report":
        canvas.paint_instances(instances, min_instance_area, by_score=True)
        canvas.paint_stuff(min_stuff_area)
    elif order in ("evaluator", "overwrite"):
        canvas.paint_stuff(min_stuff_area)
        canvas.paint_instances(instances, min_instance_area, by_score=order == "overwrite", over=order == "overwrite")
    else:
        raise ValueError(f"Unknown fusion order {order!r}; choose report, evaluator or overwrite.")
    if fallback_min_area is None:
        fallback_min_area = min_instance_area if order == "report" else math.inf
    canvas.paint_leftover_things(fallback_min_area)
    return canvas.finish()


class _Canvas:
    """The map being painted: segment number per pixel, and what each number is."""

    def __init__(self, labels: NDArray[np.integer], things: NDArray[np.int64], void: int) -> None:
        self.labels, self.things, self.void = labels, things, void
        self.numbers = np.zeros(labels.shape, dtype=np.int32)
        self.class_ids: list[int] = []
        self.isthing: list[bool] = []
        self.scores: list[float] = []

    def _add(self, class_id: int, isthing: bool, score: float) -> int:
        """Number of a new segment."""
        self.class_ids.append(class_id)
        self.isthing.append(isthing)
        self.scores.append(score)
        return len(self.class_ids)

    def paint_instances(self, instances: Instances, min_area: int, *, by_score: bool, over: bool = False) -> None:
        """Instances of thing classes, by falling score or as given; `over` earlier instances or on free pixels only."""
        least = max(min_area, 1)
        classes = majority_classes(instances, self.labels, ignore=self.void)
        wanted = np.isin(classes, self.things) & (instances.areas >= least)
        ranking = np.argsort(-instances.scores, kind="stable") if by_score else np.arange(len(instances))
        ranking = ranking[wanted[ranking]]
        chosen = instances.select(ranking).replace(class_ids=classes[ranking])
        if over or not self._paint_at_once(chosen, least):
            self._paint_one_by_one(chosen, least, over)

    def _paint_at_once(self, instances: Instances, least: int) -> bool:
        """Paint so that the first instance wins every pixel, unless that leaves one with fewer than `least` pixels."""
        flat, base = self.numbers.ravel(), len(self.class_ids) + 1
        areas, pixels = instances.areas, instances.pixels()
        numbers = np.repeat(np.arange(base, base + len(instances), dtype=np.int32), areas)
        if self.class_ids:
            free = flat[pixels] == 0
            areas = np.bincount(numbers[free] - base, minlength=len(instances))
            pixels, numbers = pixels[free], numbers[free]
        flat[pixels[::-1]] = numbers[::-1]
        lost = np.bincount(numbers[flat[pixels] != numbers] - base, minlength=len(instances))
        if len(instances) and (areas - lost).min() < least:
            flat[pixels] = 0
            return False
        for class_id, score in zip(instances.class_ids.tolist(), instances.scores.tolist()):
            self._add(class_id, True, score)
        return True

    def _paint_one_by_one(self, instances: Instances, least: int, over: bool) -> None:
        """Paint in order; an instance that finds fewer than `least` free pixels leaves them to the next."""
        flat = self.numbers.ravel()
        for pixels, class_id, score in zip(instances, instances.class_ids.tolist(), instances.scores.tolist()):
            if not over:
                pixels = pixels[flat[pixels] == 0]
            if len(pixels) >= least:
                flat[pixels] = self._add(class_id, True, score)

    def paint_stuff(self, min_area: int) -> None:
        """Free pixels of each stuff class, class ids ascending, if there are at least `min_area`."""
        runs = Runs.of(np.where(self.numbers == 0, self.labels, self.void))
        counts = runs.counts()
        counts[self.things[self.things < len(counts)]] = 0
        counts[self.void :][:1] = 0
        table = np.zeros(len(counts), dtype=np.int32)
        for class_id in np.flatnonzero(counts >= max(min_area, 1)).tolist():
            table[class_id] = self._add(class_id, False, 1.0)
        self.numbers += runs.paint(table[runs.values])

    def paint_leftover_things(self, min_area: float) -> None:
        """Free thing pixels as 4-connected components of at least `min_area` pixels, class ids ascending."""
        if not len(self.things) or math.isinf(min_area):
            return
        runs = Runs.of(np.where(self.numbers == 0, self.labels, self.void))
        keys = class_keys(runs, self.things)
        components = label_components(keys)
        numbers = np.zeros(len(components.areas), dtype=np.int32)
        kept = np.flatnonzero(components.areas >= min_area)
        for index in kept[np.argsort(components.keys[kept], kind="stable")].tolist():
            class_id = int(self.things[components.keys[index] - 1])
            numbers[index] = self._add(class_id, True, FALLBACK_SCORE)
        self.numbers += components.paint(numbers, 0)

    def finish(self) -> Panoptic:
        return Panoptic.from_map(self.numbers, self.class_ids, self.isthing, self.scores)
