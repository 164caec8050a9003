"""From counts per class to PQ, SQ and RQ, and every way in which they have been averaged.

Per class, ``SQ = sum of IoU / TP``, ``RQ = TP / (TP + FP / 2 + FN / 2)`` and ``PQ = SQ * RQ`` (Kirillov et al. 2019).
Two averages are both called SQ in print:

* the mean over classes with TP + FP + FN > 0, where a class without a match counts as 0 (panopticapi, torchmetrics,
  CUPS): `sq`, `rq` and `pq` under the conventions "coco" and "cups". Such an SQ may lie below 0.5 although every match
  exceeds it. `sq_matched` is the mean over classes with a match only;
* pooled over all segments of all classes (the report's evaluator): `sq_pooled`, `rq_pooled`, and `sq` and `rq` under
  the convention "report", whose PQ nevertheless is the mean over classes. SQ times RQ is then not PQ.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from mbps_dataset.metrics.segment_matching import SegmentMatches


Class = TypeVar("Class")  # the name of a class: its id, or what a paper calls it


@dataclass(frozen=True)
class ClassScore:
    """Counts of one class and what follows from them; PQ, SQ and RQ are NaN where nothing was seen or predicted."""

    tp: int = 0
    fp: int = 0
    fn: int = 0
    iou_sum: float = 0.0

    @property
    def n(self) -> int:
        """Segments involved: TP + FP + FN."""
        return self.tp + self.fp + self.fn

    @property
    def sq(self) -> float:
        return self.iou_sum / self.tp if self.tp else (0.0 if self.n else math.nan)

    @property
    def rq(self) -> float:
        return self.tp / (self.tp + self.fp / 2 + self.fn / 2) if self.n else math.nan

    @property
    def pq(self) -> float:
        return self.iou_sum / (self.tp + self.fp / 2 + self.fn / 2) if self.n else math.nan


@dataclass(frozen=True)
class Average:
    """Fractions over a group of classes. `classes` is the number of classes averaged."""

    pq: float
    sq: float
    rq: float
    sq_matched: float
    sq_pooled: float
    rq_pooled: float
    classes: int


def score_classes(matches: SegmentMatches, class_ids: Sequence[int]) -> dict[int, ClassScore]:
    """Counts per class over all images. Sums of IoU are correctly rounded, so the order of images does not matter."""
    tp, fp, fn = (
        Counter(rows[:, 1].tolist())
        for rows in (matches.true_positives, matches.false_positives, matches.false_negatives)
    )
    ious = {int(c): matches.ious[matches.true_positives[:, 1] == c] for c in class_ids}
    return {c: ClassScore(tp[c], fp[c], fn[c], iou_sum=math.fsum(of_class)) for c, of_class in ious.items()}


def average(scores: Mapping[Class, ClassScore], *, pooled: bool = False) -> Average:
    """Average over classes with TP + FP + FN > 0; `pooled` makes `sq` and `rq` the pooled values."""
    used = [score for score in scores.values() if score.n]
    everything = ClassScore(
        tp=sum(score.tp for score in used),
        fp=sum(score.fp for score in used),
        fn=sum(score.fn for score in used),
        iou_sum=math.fsum(score.iou_sum for score in used),
    )
    sq_pooled = everything.sq if everything.tp else math.nan
    return Average(
        pq=_mean([score.pq for score in used]),
        sq=sq_pooled if pooled else _mean([score.sq for score in used]),
        rq=everything.rq if pooled else _mean([score.rq for score in used]),
        sq_matched=_mean([score.sq for score in used if score.tp]),
        sq_pooled=sq_pooled,
        rq_pooled=everything.rq,
        classes=len(used),
    )


def _mean(values: list[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan
