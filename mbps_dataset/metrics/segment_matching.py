"""From overlap table to true positives, false positives and false negatives, under a named convention.

A predicted and a true segment of the same class match if IoU > 0.5, which makes the match unique (Kirillov et al.,
"Panoptic Segmentation", CVPR 2019). Who is charged for what differs between evaluators; measured on each of them:

========================  =========================  ====================================  ======================
rule                      coco                       cups                                  report
========================  =========================  ====================================  ======================
evaluators                panopticapi, Cityscapes,   torchmetrics, CUPS                    the report's evaluator
                          detectron2
pixels of true void       leave the union            leave the union                       stay
pixels of predicted void  stay                       leave the union                       stay
missed segment forgiven   if it is a crowd           if > half of it is predicted void     if small
wrong segment forgiven    if > half of it is void    if > half of it is void               never
                          or crowd of its class
crowd region              ignored                    an ordinary segment                   true nothing
smallest segment          1 px                       1 px                                  stuff 64 px, thing 10 px
========================  =========================  ====================================  ======================

Decisions of ours: the comparisons ``2 * intersection > union`` and ``2 * void > area`` are made on integers; all crowd
regions of a class are ignored, where panopticapi ignores only the one listed last (``crowds="last"`` reproduces it);
stuff is merged per image and class after mapping, unless ``merge_stuff=False``, which keeps stuff apart on both sides by
(pseudo-)class and instance id, as panopticapi keeps whatever has an id of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mbps_dataset.metrics.overlap import Int, OverlapTable, unique_rows


CONVENTIONS = ("coco", "cups", "report")
REPORT_HW = (512, 1024)
"""Height and width at which the report scores."""
REPORT_MIN_STUFF_PX = 64
REPORT_MIN_THING_PX = 10

_VOID = -1  # class of void segments inside this file


@dataclass(frozen=True)
class MatchingRules:
    """What counts as a segment and who is charged for what; see the table of this file.

    `things`, `stuff`: class ids; every other class of the ground truth is void. `crowds` is "all" or "last". Segments
    below `min_stuff_px` or `min_thing_px` are void on both sides, except predicted ones of no pixel, which count.
    """

    things: tuple[int, ...]
    stuff: tuple[int, ...]
    convention: str = "coco"
    crowds: str = "all"
    merge_stuff: bool = True
    min_stuff_px: int = 1
    min_thing_px: int = 1


@dataclass(frozen=True)
class SegmentMatches:
    """One row per segment: `true_positives` and the others int64 [n, 2] (image, class); `ious` float64 of the former."""

    true_positives: Int
    false_positives: Int
    false_negatives: Int
    ious: NDArray[np.float64]


@dataclass(frozen=True)
class _Segments:
    """Segments after mapping, merging and size limits: image, class (-1 = void), crowd number, area."""

    image: Int
    classes: Int
    crowd: Int
    area: Int


def match_segments(table: OverlapTable, classes: Mapping[int, int], rules: MatchingRules) -> SegmentMatches:
    """Match all segments of all images. `classes` maps pseudo-classes to classes; absent means void."""
    true, true_of = _true_segments(table, rules)
    pred, pred_of = _pred_segments(table, classes, rules)
    keys, pair_of = np.unique(
        true_of[table.pairs[:, 0]] * len(pred.area) + pred_of[table.pairs[:, 1]], return_inverse=True
    )
    common = _sums(pair_of, table.pairs[:, 2], len(keys))
    t, p = np.divmod(keys, max(len(pred.area), 1))

    true_void, pred_void, same = true.classes[t] == _VOID, pred.classes[p] == _VOID, true.classes[t] == pred.classes[p]
    void_in_pred = _sums(p[true_void], common[true_void], len(pred.area))
    void_in_true = _sums(t[pred_void], common[pred_void], len(true.area))
    union = true.area[t] + pred.area[p] - common
    if rules.convention != "report":
        union = union - void_in_pred[p]
    if rules.convention == "cups":
        union = union - void_in_true[t]

    is_match = same & ~true_void & (true.crowd[t] == 0) & (2 * common > union)
    missed = (true.classes != _VOID) & (true.crowd == 0)
    missed[t[is_match]] = False
    wrong = pred.classes != _VOID
    wrong[p[is_match]] = False
    if rules.convention == "cups":
        missed &= 2 * void_in_true <= true.area
    if rules.convention != "report":
        crowded = same & _counts_as_crowd(true, rules)[t]
        forgiven = void_in_pred + _sums(p[crowded], common[crowded], len(pred.area))
        wrong &= 2 * forgiven <= pred.area
    hits = t[is_match]
    return SegmentMatches(
        np.column_stack([true.image[hits], true.classes[hits]]),
        np.column_stack([pred.image[wrong], pred.classes[wrong]]),
        np.column_stack([true.image[missed], true.classes[missed]]),
        common[is_match] / union[is_match],
    )


def _sums(index: Int, values: Int, size: int) -> Int:
    return np.bincount(index, weights=values, minlength=size).astype(np.int64)  # exact below 2^53


def _true_segments(table: OverlapTable, rules: MatchingRules) -> tuple[_Segments, Int]:
    image, classes, instance, crowd = table.true_segments.T
    is_thing = np.isin(classes, rules.things)
    classes = np.where(is_thing | np.isin(classes, rules.stuff), classes, _VOID)
    if rules.convention == "report":
        classes = np.where(is_thing & ((instance == 0) | (crowd > 0)), _VOID, classes)
    crowd = np.where((classes != _VOID) & (rules.convention == "coco"), crowd, 0)
    has_ids = is_thing | (not rules.merge_stuff)
    instance = np.where(has_ids & (classes != _VOID) & (crowd == 0), instance, 0)
    return _merged(image, classes, instance, crowd, table.pairs[:, [0, 2]], rules)


def _pred_segments(table: OverlapTable, classes: Mapping[int, int], rules: MatchingRules) -> tuple[_Segments, Int]:
    image, pseudo, instance = table.pred_segments.T
    distinct, which = np.unique(pseudo, return_inverse=True)
    mapped = np.array([classes.get(int(k), _VOID) for k in distinct], np.int64)[which]
    is_thing = np.isin(mapped, rules.things)
    if rules.convention == "report":
        mapped = np.where(is_thing & (instance == 0), _VOID, mapped)
    if rules.merge_stuff:
        apart = np.zeros_like(pseudo)
    else:
        _, apart = unique_rows([pseudo, instance])
    instance = np.where(mapped == _VOID, 0, np.where(is_thing, instance, apart))
    return _merged(image, mapped, instance, np.zeros_like(image), table.pairs[:, [1, 2]], rules)


def _merged(
    image: Int, classes: Int, instance: Int, crowd: Int, pixels: Int, rules: MatchingRules
) -> tuple[_Segments, Int]:
    """Segments with equal image, class, instance and crowd become one; also the new number of each old row."""
    rows, inverse = unique_rows([image, classes, instance, crowd])
    area = _sums(inverse[pixels[:, 0]], pixels[:, 1], len(rows))
    classes = rows[:, 1]
    smallest = np.where(np.isin(classes, rules.things), rules.min_thing_px, rules.min_stuff_px)
    classes = np.where((area > 0) & (area < smallest), _VOID, classes)
    return _Segments(rows[:, 0], classes, rows[:, 3], area), inverse


def _counts_as_crowd(true: _Segments, rules: MatchingRules) -> NDArray[np.bool_]:
    """Which true segments forgive predictions of their class: all crowds, or per image and class the last one."""
    is_crowd = true.crowd > 0
    if rules.crowds == "all" or not is_crowd.any():
        return is_crowd
    last: dict[tuple[int, int], int] = {}
    for row in np.flatnonzero(is_crowd):
        last[int(true.image[row]), int(true.classes[row])] = int(row)  # rows are sorted by crowd number
    is_last = np.zeros_like(is_crowd)
    is_last[list(last.values())] = True
    return is_last
