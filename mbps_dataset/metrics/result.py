"""What an evaluation says: every average under its own name, with the convention and matching it was made by."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from mbps_dataset.metrics.scores import Average, ClassScore


@dataclass(frozen=True)
class PanopticResult:
    """Fractions in [0, 1], not percent; NaN where nothing is defined.

    `pq`, `sq`, `rq` and their `_things` and `_stuff` are averages over classes (`sq` and `rq` are pooled over segments
    under the convention "report"); `sq_matched` averages classes with a match only; `sq_pooled` and `rq_pooled` are
    pooled under every convention. `miou` and `accuracy` drop predicted void, the `_penalised` ones count it as wrong.
    `predicted_void_share` is the share of labelled pixels without a prediction.

    `per_class` maps a class id to ``tp, fp, fn, iou_sum, n, pq, sq, rq`` and the pixel ``iou``. `assignment` maps
    pseudo-classes to classes for PQ; `semantic_assignment` is the one behind mIoU and accuracy, where things and stuff
    are never separated. `undetermined` are pseudo-classes whose class another optimal matching would change.
    `intervals` maps a name to (low, high) if a bootstrap was asked for.
    """

    convention: str
    matching: str
    images: int
    pq: float
    sq: float
    rq: float
    pq_things: float
    sq_things: float
    rq_things: float
    pq_stuff: float
    sq_stuff: float
    rq_stuff: float
    sq_matched: float
    sq_pooled: float
    rq_pooled: float
    miou: float
    accuracy: float
    miou_penalised: float
    accuracy_penalised: float
    predicted_void_share: float
    classes_averaged: int
    per_class: dict[int, dict[str, float]]
    assignment: dict[int, int]
    semantic_assignment: dict[int, int]
    undetermined: tuple[int, ...]
    drop_zero_overlap: bool = False
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain Python, ready for JSON: undefined numbers are None; class ids are integer keys."""
        return {item.name: _json_ready(getattr(self, item.name)) for item in fields(self)}


SCALARS: tuple[str, ...] = tuple(item.name for item in fields(PanopticResult) if item.type == "float")
"""Names of the numbers of a `PanopticResult`, in the order in which they are shown."""


def flat_averages(averages: Mapping[str, Average]) -> dict[str, Any]:
    """Fields of a `PanopticResult` from averages over all classes (""), over "_things" and over "_stuff"."""
    over_all = averages[""]
    flat: dict[str, Any] = {
        f"{name}{group}": getattr(values, name) for group, values in averages.items() for name in ("pq", "sq", "rq")
    }
    flat |= {name: getattr(over_all, name) for name in ("sq_matched", "sq_pooled", "rq_pooled")}
    return flat | {"classes_averaged": over_all.classes}


def class_table(scores: Mapping[int, ClassScore]) -> dict[int, dict[str, float]]:
    """Counts and quality of every class as plain numbers."""
    names = ("tp", "fp", "fn", "iou_sum", "n", "pq", "sq", "rq")
    return {c: {name: getattr(score, name) for name in names} for c, score in scores.items()}


def with_iou(table: Mapping[int, Mapping[str, float]], iou: Mapping[int, float]) -> dict[int, dict[str, float]]:
    """Field `per_class` of a `PanopticResult`: `class_table` with the pixel IoU of every class."""
    return {c: {**row, "iou": iou.get(c, math.nan)} for c, row in table.items()}


def _json_ready(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _json_ready(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json_ready(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
