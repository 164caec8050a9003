"""The numbers of a row, averaged over its trials and checked before anybody sees them.

PQ over all classes must be the mean that PQ of stuff and PQ of things imply, weighted by the classes that occur. It is
by construction, so a row that breaks it shows a mistake in the evaluation, and the run stops. The report has five such
rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from mbps_dataset import taxonomy
from mbps_dataset.ablation.rows import Row
from mbps_dataset.metrics import PanopticResult, PublishedRow, lint_rows


DECIMALS = 2
"""Digits after the point of every printed percentage."""


class ImpossibleRowError(RuntimeError):
    """A row whose PQ is not the mean of its parts: a mistake in the evaluation, not in the input."""


@dataclass(frozen=True)
class Measurement:
    """What was measured for one variant: the metric's result, mIoU of the class maps before fusion, thing segments per
    image, and how many of the `classes` that could be compared are on their true side of the thing/stuff split."""

    result: PanopticResult
    miou: float
    instances: float
    things: int
    right_side: int
    classes: int


@dataclass(frozen=True)
class RowResult:
    """A row with its numbers: fractions under the names of `VALUES` and, for a single trial, `per_class` counts.

    `unavailable` rows have no numbers. `settings` are those that differ from the recipe.
    """

    name: str
    settings: tuple[str, ...] = ()
    measurement_only: bool = False
    note: str = ""
    unavailable: str = ""
    trials: int = 1
    values: dict[str, float] = field(default_factory=dict)
    per_class: dict[int, dict[str, float]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain Python, ready for JSON; undefined numbers are None."""
        known = {key: None if math.isnan(value) else value for key, value in self.values.items()}
        about = {"name": self.name, "settings": list(self.settings), "measurement_only": self.measurement_only}
        about |= {"note": self.note, "unavailable": self.unavailable, "trials": self.trials}
        counts = {
            taxonomy.NAMES_19[c]: {k: int(row[k]) for k in ("tp", "fp", "fn")} for c, row in self.per_class.items()
        }
        return about | known | {"per_class": counts}


VALUES = ("pq", "pq_stuff", "pq_things", "sq", "rq", "sq_pooled", "rq_pooled")
"""Numbers of the metric that every row keeps."""


def row_result(row: Row, measured: Sequence[Measurement]) -> RowResult:
    """The mean over the trials of `row`, each of them checked. Raises `ImpossibleRowError`."""
    for measurement in measured:
        check(row.name, measurement.result)
    values = {name: _mean([getattr(m.result, name) for m in measured]) for name in VALUES}
    for name in ("miou", "instances", "things", "right_side", "classes"):
        values[name] = _mean([float(getattr(m, name)) for m in measured])
    return RowResult(
        name=row.name,
        settings=row.settings,
        measurement_only=row.measurement_only,
        note=row.note,
        trials=len(measured),
        values=values,
        per_class=measured[0].result.per_class if len(measured) == 1 else {},
    )


def check(name: str, result: PanopticResult) -> None:
    """Raises `ImpossibleRowError` unless PQ, as printed, is the class mean of its printed parts."""
    seen = [class_id for class_id, row in result.per_class.items() if row["n"] > 0]
    things = sum(class_id in taxonomy.THINGS_19 for class_id in seen)
    printed = {key: round(100 * getattr(result, key), DECIMALS) for key in ("pq", "pq_things", "pq_stuff")}
    printed = {key: value for key, value in printed.items() if not math.isnan(value)}
    row = PublishedRow(name, printed, dict.fromkeys(printed, 0.5 * 10.0**-DECIMALS))
    for finding in lint_rows([row], thing_count=things, stuff_count=len(seen) - things):
        if finding.level == "error":
            raise ImpossibleRowError(str(finding))


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
