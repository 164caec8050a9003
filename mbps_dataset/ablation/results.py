"""The numbers of a row, averaged over its trials and checked before anybody sees them.

PQ over all classes must be the mean that PQ of stuff and PQ of things imply, weighted by the classes that occur. It is
by construction, so a row that breaks it shows a mistake in the evaluation, and the run stops. The report has five such
rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mbps_dataset import taxonomy
from mbps_dataset.ablation.rows import Row
from mbps_dataset.metrics import PanopticResult, PublishedRow, lint_rows
from mbps_dataset.metrics.bootstrap import bootstrap_intervals


DECIMALS = 2
"""Digits after the point of every printed percentage."""


class ImpossibleRowError(RuntimeError):
    """A row whose PQ is not the mean of its parts: a mistake in the evaluation, not in the input."""


@dataclass(frozen=True)
class Measurement:
    """What was measured for one variant: the metric's result, mIoU of the class maps before fusion, also by range of
    distance (near, far), thing segments per image, and how many of the `classes` that could be compared are on their true
    side of the thing/stuff split; `resampled` numbers of the same images drawn again and again, `more` values by name."""

    result: PanopticResult
    miou: float
    instances: float
    things: int
    right_side: int
    classes: int
    miou_by_distance: Mapping[tuple[float, float], float] = field(default_factory=dict)
    resampled: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    more: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class RowResult:
    """A row with its numbers: fractions under the names of `VALUES` and, for a single trial, `per_class` counts.

    `unavailable` rows have no numbers but the `published` ones, in percent. `settings` are those that differ from the recipe.
    `intervals` are 95 % of resampled images: of "pq" and "miou", and of what they change against the first row
    ("delta_pq", "delta_miou"), image by image.
    """

    name: str
    settings: tuple[str, ...] = ()
    measurement_only: bool = False
    note: str = ""
    unavailable: str = ""
    trials: int = 1
    values: dict[str, float] = field(default_factory=dict)
    per_class: dict[int, dict[str, float]] = field(default_factory=dict)
    published: Mapping[str, float] = field(default_factory=dict)
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain Python, ready for JSON; undefined numbers are None."""
        known = {key: None if math.isnan(value) else value for key, value in self.values.items()}
        about = {"name": self.name, "settings": list(self.settings), "measurement_only": self.measurement_only}
        about |= {"note": self.note, "unavailable": self.unavailable, "trials": self.trials}
        counts = {
            taxonomy.NAMES_19[c]: {k: int(row[k]) for k in ("tp", "fp", "fn")} for c, row in self.per_class.items()
        }
        if self.intervals:
            about["intervals"] = {
                key: None if math.isnan(low) else [low, high] for key, (low, high) in self.intervals.items()
            }
        if self.published:
            about["published_percent"] = dict(self.published)
        return about | known | {"per_class": counts}


def range_name(near: float, far: float) -> str:
    """The name under which mIoU of a range of distance stands among a row's values: "miou_0_10", "miou_30_inf"."""
    return f"miou_{near:g}_{far:g}"


VALUES = ("pq", "pq_stuff", "pq_things", "sq", "rq", "sq_pooled", "rq_pooled", "predicted_void_share")
"""Numbers of the metric that every row keeps."""


def row_result(row: Row, measured: Sequence[Measurement], first: Sequence[Measurement] = ()) -> RowResult:
    """The mean over the trials of `row`, each of them checked, and against those of the `first` row of its table.

    Raises `ImpossibleRowError`.
    """
    for measurement in measured:
        check(row.name, measurement.result)
    values = {name: _mean([getattr(m.result, name) for m in measured]) for name in VALUES}
    for name in ("miou", "instances", "things", "right_side", "classes"):
        values[name] = _mean([float(getattr(m, name)) for m in measured])
    for name in measured[0].more:
        values[name] = _mean([m.more[name] for m in measured])
    for limits in measured[0].miou_by_distance:
        values[range_name(*limits)] = _mean([m.miou_by_distance[limits] for m in measured])
    return RowResult(
        name=row.name,
        settings=row.settings,
        measurement_only=row.measurement_only,
        note=row.note,
        trials=len(measured),
        values=values,
        per_class=measured[0].result.per_class if len(measured) == 1 else {},
        published=row.published,
        intervals=_intervals(measured, first),
    )


def _intervals(measured: Sequence[Measurement], first: Sequence[Measurement]) -> dict[str, tuple[float, float]]:
    """See `RowResult`; nothing where no images were drawn."""
    draws: dict[str, NDArray[np.float64]] = {}
    for name in ("pq", "miou"):
        if any(name not in each.resampled for each in (*measured, *first)):
            continue
        draws[name], *reference = (
            np.mean([each.resampled[name] for each in trials], axis=0) for trials in (measured, first) if trials
        )
        if reference:
            draws[f"delta_{name}"] = draws[name] - reference[0]
    return bootstrap_intervals(draws)


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
