"""The report's own evaluation of instance *masks*: how it paints them into one map before counting.

`PanopticQuality(convention="report")` scores finished maps. The report's evaluators start from a semantic map and a list
of masks that may overlap, and the order of painting decides what is scored. Measured on the reference code, all at
512 x 1024 with labels resized by nearest neighbour:

* "sweep" (k-means numbers): stuff of at least 64 px; then masks in the given order, on pixels nobody has painted, left
  out if fewer than 10 px remain;
* "connected_components": stuff, then the 4-connected components (at least 10 px) of every thing class;
* "maskcut" (headline numbers): stuff, then masks by descending score, each painted *over* what is there. A later mask of
  lower score wins, the opposite of the report's text, and a mask that disappears completely still counts as wrong;
* "hybrid": maskcut, then the components of thing pixels that no mask covers.

A mask's class is the class of most of its pixels in the semantic map; masks on classes predicted to be stuff are left
out. Thing pixels without an instance stay empty. The ground truth keeps stuff of at least 64 px and things of at least
10 px; groups are nothing. PQ is a mean over classes, SQ and RQ are pooled.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mbps_dataset.errors import InputError
from mbps_dataset.metrics.overlap import OverlapTable, as_label_map, concatenate, overlap_table
from mbps_dataset.metrics.panoptic_quality import PanopticQuality
from mbps_dataset.metrics.result import PanopticResult, class_table, flat_averages, with_iou
from mbps_dataset.metrics.scores import average, score_classes
from mbps_dataset.metrics.segment_matching import REPORT_MIN_STUFF_PX, REPORT_MIN_THING_PX, match_segments


MODES = ("sweep", "connected_components", "maskcut", "hybrid")


@dataclass(frozen=True)
class PaintedMap:
    """`segments` int32 [H, W], 0 = nothing, k = k-th segment; `classes` [S] of the segments, painted over or not."""

    segments: NDArray[np.int32]
    classes: NDArray[np.int64]


def paint(
    semantic: NDArray[np.integer],
    masks: NDArray[np.bool_] | None,
    things: Collection[int],
    stuff: Collection[int],
    *,
    mode: str = "maskcut",
    scores: NDArray[np.floating] | None = None,
) -> PaintedMap:
    """The predicted panoptic map. `things` and `stuff` are the *predicted* split.

    `semantic` [H, W] class ids; `masks` [N, H, W]; `scores` [N] order the masks of "maskcut" and "hybrid", which
    otherwise keep their order.
    """
    if mode not in MODES:
        raise ValueError(f"`mode` must be one of {', '.join(map(repr, MODES))}, but is {mode!r}.")
    segments, classes = np.zeros(semantic.shape, np.int32), []
    for class_id in sorted(stuff):
        region = semantic == class_id
        if region.sum() >= REPORT_MIN_STUFF_PX:
            classes.append(class_id)
            segments[region] = len(classes)
    thing_ids = sorted(things)
    for mask in _in_order(masks, scores if mode != "sweep" else None) if mode != "connected_components" else ():
        area = mask & (segments == 0) if mode == "sweep" else mask
        class_id = _majority_class(semantic[mask])
        if class_id in thing_ids and area.sum() >= REPORT_MIN_THING_PX:
            classes.append(class_id)
            segments[area] = len(classes)
    if mode in ("connected_components", "hybrid"):
        from scipy.ndimage import label  # here: its import takes longer than most scores

        covered = segments > len([c for c in classes if c not in thing_ids])
        for class_id in thing_ids:
            components, count = label((semantic == class_id) & ~(covered & (mode == "hybrid")))
            sizes = np.bincount(components.ravel(), minlength=count + 1)
            for component in np.flatnonzero(sizes[1:] >= REPORT_MIN_THING_PX) + 1:
                classes.append(class_id)
                segments[components == component] = len(classes)
    return PaintedMap(segments, np.array(classes, np.int64))


class ReportProtocol:
    """The report's PQ over many images, from semantic maps and masks.

    Args:
        things: thing classes of the ground truth.
        stuff: its stuff classes.
        pred_things: classes predicted to be things (the report's attention split); None means `things`.
        mode: see `paint`.
    """

    def __init__(
        self, things: Collection[int], stuff: Collection[int], *, pred_things: Collection[int] | None = None,
        mode: str = "maskcut",
    ) -> None:  # fmt: skip
        self.pixels = PanopticQuality(things, stuff, convention="report", report_hw=None)
        self.pred_things = frozenset(things if pred_things is None else pred_things)
        self.mode = mode
        self._tables: list[OverlapTable] = []
        self._classes: dict[int, int] = {}

    def update(
        self, pred_semantic: Any, masks: Any | None, true_semantic: Any, true_instance: Any,
        *, scores: Any | None = None, image_id: str | None = None,
    ) -> None:  # fmt: skip
        """Add one image; maps [H, W], `masks` bool [N, H, W] of the same size, `scores` [N]."""
        name = f"image {image_id!r}"
        semantic = as_label_map(pred_semantic, "pred_semantic", name)
        masks = None if masks is None else np.asarray(masks, bool)
        if masks is not None and masks.shape[1:] != semantic.shape:
            raise InputError(
                f"{name}: expected `masks` [N, H, W] to share (H, W) with `pred_semantic`, but got {masks.shape} and "
                f"{semantic.shape}; resize one of them with nearest neighbour."
            )
        class_ids = set(self.pixels.settings.class_ids)
        painted = paint(
            semantic,
            masks,
            self.pred_things,
            class_ids - self.pred_things,
            mode=self.mode,
            scores=None if scores is None else np.asarray(scores),
        )
        self.pixels.update(semantic, None, true_semantic, true_instance, image_id=image_id)
        self._append(painted, overlap_table(painted.segments, None, true_semantic, true_instance, image=name))

    def compute(self) -> PanopticResult:
        """Score all images so far; mIoU and accuracy are those of the semantic maps."""
        settings, table = self.pixels.settings, concatenate(self._tables)
        rules = replace(settings.rules(), min_stuff_px=1, min_thing_px=1, merge_stuff=False)
        scores = score_classes(match_segments(table, self._classes, rules), settings.class_ids)
        averages = {
            suffix: average({c: scores[c] for c in ids}, pooled=True) for suffix, ids in settings.groups.items()
        }
        pixels = self.pixels.compute()
        per_class = with_iou(class_table(scores), {c: row["iou"] for c, row in pixels.per_class.items()})
        return replace(pixels, **flat_averages(averages), per_class=per_class, matching=self.mode)

    def _append(self, painted: PaintedMap, table: OverlapTable) -> None:
        """Every segment becomes a pseudo-class of its own, so that none merges and none that vanished is forgotten."""
        first = len(self._classes) + 1
        self._classes |= {first + number: int(class_id) for number, class_id in enumerate(painted.classes)}
        pred = table.pred_segments.copy()
        is_segment = pred[:, 1] > 0
        vanished = np.setdiff1d(np.arange(1, len(painted.classes) + 1), pred[:, 1])
        pred[is_segment, 1] += first - 1
        pred[is_segment, 2] = pred[is_segment, 1]
        extra = np.column_stack([np.zeros_like(vanished), vanished + first - 1, vanished + first - 1])
        table = replace(table, pred_segments=np.concatenate([pred, extra.astype(np.int64)]))
        self._tables.append(self._without_small_truth(table))

    def _without_small_truth(self, table: OverlapTable) -> OverlapTable:
        """True segments below the smallest areas become void; predictions were limited while painting."""
        settings = self.pixels.settings
        true = table.true_segments.copy()
        is_thing = np.isin(true[:, 1], settings.things)
        key = np.where(is_thing, true[:, 1] * (true[:, 2].max(initial=0) + 1) + true[:, 2], -1 - true[:, 1])
        _, which = np.unique(key, return_inverse=True)
        area = np.bincount(which[table.pairs[:, 0]], weights=table.pairs[:, 2], minlength=which.max(initial=0) + 1)
        smallest = np.where(is_thing, REPORT_MIN_THING_PX, REPORT_MIN_STUFF_PX)
        true[area[which] < smallest, 1] = settings.void
        return replace(table, true_segments=true)


def _in_order(masks: NDArray[np.bool_] | None, scores: NDArray[np.floating] | None) -> Any:
    if masks is None:
        return ()
    return masks if scores is None else masks[np.argsort(-scores, kind="stable")]


def _majority_class(values: NDArray[np.integer]) -> int:
    """Most frequent id, the lowest among equals; -1 for no pixel."""
    return int(np.bincount(values).argmax()) if values.size else -1
