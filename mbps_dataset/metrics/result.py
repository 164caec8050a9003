"""What an evaluation says: every average under its own name, with the convention and matching it was made by."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from mbps_dataset.metrics.scores import Average, ClassScore
from mbps_dataset.metrics.segmentation import PixelScores


@dataclass(frozen=True)
class PanopticResult:
    """Fractions in [0, 1], not percent; NaN where nothing is defined.

    `averages` holds those over all classes (""), "_things" and "_stuff"; the flat names (`pq`, `sq_things`, `rq_pooled`, ...) read from them.
    `assignment` maps pseudo-classes to classes for PQ; `semantic_assignment` is the one behind mIoU and accuracy, where
    things and stuff are never separated. `undetermined` are pseudo-classes whose class another optimal matching would
    change. `predicted_void_share` is the share of labelled pixels without a prediction. `intervals` maps a name to
    (low, high) when a bootstrap was asked for.
    """

    convention: str
    matching: str
    images: int
    averages: dict[str, Average]
    per_class: dict[int, ClassScore]
    pixels: PixelScores
    assignment: dict[int, int]
    semantic_assignment: dict[int, int]
    undetermined: tuple[int, ...]
    predicted_void_share: float
    drop_zero_overlap: bool = False
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)

    pq = property(lambda self: self.averages[""].pq)
    sq = property(lambda self: self.averages[""].sq)
    rq = property(lambda self: self.averages[""].rq)
    pq_things = property(lambda self: self.averages["_things"].pq)
    sq_things = property(lambda self: self.averages["_things"].sq)
    rq_things = property(lambda self: self.averages["_things"].rq)
    pq_stuff = property(lambda self: self.averages["_stuff"].pq)
    sq_stuff = property(lambda self: self.averages["_stuff"].sq)
    rq_stuff = property(lambda self: self.averages["_stuff"].rq)
    sq_matched = property(lambda self: self.averages[""].sq_matched)
    sq_pooled = property(lambda self: self.averages[""].sq_pooled)
    rq_pooled = property(lambda self: self.averages[""].rq_pooled)
    miou = property(lambda self: self.pixels.miou)
    accuracy = property(lambda self: self.pixels.accuracy)
    miou_penalised = property(lambda self: self.pixels.miou_penalised)
    accuracy_penalised = property(lambda self: self.pixels.accuracy_penalised)

    def to_dict(self) -> dict[str, Any]:
        """Plain Python, ready for JSON: undefined numbers are None, class ids stay integers."""
        flat = {name: getattr(self, name) for name in SCALARS}
        flat["classes_averaged"] = self.averages[""].classes
        flat["images"] = self.images
        flat["per_class"] = {
            c: {"tp": s.tp, "fp": s.fp, "fn": s.fn, "iou_sum": s.iou_sum, "n": s.n, "pq": s.pq, "sq": s.sq, "rq": s.rq}
            | {"iou": self.pixels.iou.get(c, math.nan)}
            for c, s in self.per_class.items()
        }
        flat["assignment"] = dict(self.assignment)
        flat["semantic_assignment"] = dict(self.semantic_assignment)
        flat["undetermined"] = list(self.undetermined)
        flat["convention"], flat["matching"] = self.convention, self.matching
        flat["drop_zero_overlap"] = self.drop_zero_overlap
        if self.intervals:
            flat["intervals"] = {name: list(bounds) for name, bounds in self.intervals.items()}
        return _without_nan(flat)


SCALARS: tuple[str, ...] = (
    *(f"{name}{group}" for group in ("", "_things", "_stuff") for name in ("pq", "sq", "rq")),
    *("sq_matched", "sq_pooled", "rq_pooled"),
    *("miou", "accuracy", "miou_penalised", "accuracy_penalised", "predicted_void_share"),
)
"""Names of the numbers of a `PanopticResult`, in the order in which they are shown."""


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
