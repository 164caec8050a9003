"""Checks published rows of panoptic numbers against what their own definitions allow.

Each rule is arithmetic, not opinion (all for means over classes, in percent):

* ``PQ = (n_things * PQ_things + n_stuff * PQ_stuff) / n``: five rows of one report break it by up to 2.2 points; where
  another set of classes in use fits (`OTHER_SPLITS`), the row is of another protocol: 35.83 with 36.26 and 35.56, which
  circulates beside 27.8 with 17.7 and 35.1, was made with 10 things of 26 classes;
* ``PQ <= SQ`` and ``PQ <= RQ``: holds class by class, so it holds for means; pooled SQ or RQ may break it;
* every match has IoU > 0.5, so an SQ below 50 must average classes without a match as 0;
* ``SQ * RQ = PQ`` holds for one class. For means over classes it is a coincidence, so where it holds exactly the row
  was probably multiplied, not measured;
* with counts per class, PQ, SQ and RQ are recomputed and every printed SQ and RQ is told apart as a mean over classes
  or pooled over segments.

Rounding is respected: a number printed with d decimals stands for the interval of half a unit around it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mbps_dataset.metrics.scores import ClassScore, average


OTHER_SPLITS = {
    (8, 11): "the 19 classes of Cityscapes",
    (10, 17): "the 27 classes of Cityscapes",
    (10, 16): "26 classes: the 27 without one of stuff",
    (8, 8): "the 16 classes of Waymo",
    (2, 5): "the 7 groups of Cityscapes",
    (80, 53): "COCO's 133 classes",
}
"""Things and stuff of the sets of classes that published rows average over."""


@dataclass(frozen=True)
class PublishedRow:
    """`values` in percent under ``pq, sq, rq`` with ``_things`` and ``_stuff``; `half_units` is half the last digit.

    `counts` holds what is known per class: TP, FP, FN and the sum of IoU.
    """

    name: str
    values: dict[str, float]
    half_units: dict[str, float]
    counts: dict[str, ClassScore] = field(default_factory=dict)


@dataclass(frozen=True)
class Finding:
    """`level` is "error" (cannot be) or "note" (can be, but differs from what readers assume)."""

    row: str
    level: str
    message: str

    def __str__(self) -> str:
        return f"{self.row}: {self.level}: {self.message}"


def lint_rows(rows: Iterable[PublishedRow], *, thing_count: int = 8, stuff_count: int = 11) -> list[Finding]:
    """Check rows; `thing_count` and `stuff_count` are the classes averaged (Cityscapes 19: 8 and 11)."""
    findings = []
    for row in rows:
        findings += [
            *_check_mean(row, thing_count, stuff_count),
            *_check_bounds(row),
            *_check_low_sq(row),
            *_check_product(row),
            *_check_counts(row),
        ]
    return findings


def rows_from_json(data: Any, name: str = "result") -> list[PublishedRow]:
    """Rows of a parsed JSON: one result, a list of them, or results by name.

    Keys are read without case and in any common spelling (``PQ_th``, ``PQ_things``, ``PQ^Th``); numbers up to 1 in all
    of PQ, SQ and RQ are taken as fractions.
    """
    if isinstance(data, Mapping):
        known = {canonical_key(str(key)): value for key, value in data.items() if canonical_key(str(key))}
        if any(isinstance(value, (int, float)) for value in known.values()):
            return [_row(name, {key: repr(v) for key, v in known.items() if isinstance(v, (int, float))}, data)]
        return [row for key, value in data.items() for row in rows_from_json(value, str(key))]
    if isinstance(data, Sequence) and not isinstance(data, str):
        return [
            row for n, item in enumerate(data) for row in rows_from_json(item, _item_name(item, f"{name} {n + 1}"))
        ]
    return []


def rows_from_markdown(text: str) -> list[PublishedRow]:
    """Rows of every Markdown table in `text` that has a PQ column; the first column is the name."""
    rows: list[PublishedRow] = []
    header: list[str] = []
    for line in text.splitlines():
        cells = [cell.strip().strip("*` ") for cell in line.strip().strip("|").split("|")]
        if "|" not in line:
            header = []
        elif not header:
            header = [canonical_key(cell) for cell in cells]
        elif "pq" in header and not re.fullmatch(r"[\s|:-]*", line):
            printed = {key: cell for key, cell in zip(header, cells) if key and re.fullmatch(r"-?\d+(\.\d+)?%?", cell)}
            if printed:
                rows.append(_row(cells[0], {key: cell.rstrip("%") for key, cell in printed.items()}, {}))
    return rows


def canonical_key(text: str) -> str:
    """``pq, sq, rq`` with ``_things`` or ``_stuff`` for any common spelling; empty for everything else."""
    plain = re.sub(r"[^a-z]", "", text.lower().replace("text", "").replace("mathrm", ""))
    match = re.fullmatch(r"(pq|sq|rq)(?:all)?(things?|th|stuff|st)?", plain)
    if not match:
        return ""
    group = {"t": "_things", "s": "_stuff"}.get((match[2] or " ")[0], "")
    return match[1] + group


def _item_name(item: Any, fallback: str) -> str:
    if isinstance(item, Mapping):
        for key in ("name", "method", "model", "row"):
            if isinstance(item.get(key), str):
                return item[key]
    return fallback


def _row(name: str, printed: Mapping[str, str], data: Mapping[str, Any]) -> PublishedRow:
    values = {key: float(text) for key, text in printed.items() if not math.isnan(float(text))}
    scale = 100.0 if values and max(values.values()) <= 1.0 and any("." in text for text in printed.values()) else 1.0
    half = {key: scale * 0.5 * 10.0 ** -len(text.partition(".")[2]) for key, text in printed.items()}
    return PublishedRow(name, {key: scale * value for key, value in values.items()}, half, _counts(data))


def _counts(data: Mapping[str, Any]) -> dict[str, ClassScore]:
    classes = next((value for key, value in data.items() if str(key).lower() == "per_class"), None)
    result = {}
    for name, row in classes.items() if isinstance(classes, Mapping) else ():
        lower = {str(key).lower(): value for key, value in row.items() if value is not None}
        if {"tp", "fp", "fn"} <= set(lower):
            sq = lower.get("sq", 0.0)
            iou_sum = lower.get("iou_sum", sq * lower["tp"] / (100.0 if sq > 1 else 1.0))
            result[str(name)] = ClassScore(int(lower["tp"]), int(lower["fp"]), int(lower["fn"]), float(iou_sum))
    return result


def _check_mean(row: PublishedRow, things: int, stuff: int) -> Iterable[Finding]:
    if not {"pq", "pq_things", "pq_stuff"} <= set(row.values):
        return
    keys = ("pq", "pq_things", "pq_stuff")
    pq, of_things, of_stuff = (row.values[key] for key in keys)
    half, half_things, half_stuff = (row.half_units[key] for key in keys)
    splits = [(things, stuff)]
    if row.counts:  # classes that do not occur are not averaged; their kind is not known here
        seen = sum(score.n > 0 for score in row.counts.values())
        splits += [(k, seen - k) for k in range(max(0, seen - stuff), min(things, seen) + 1) if seen]

    def fits(n_things: int, n_stuff: int) -> bool:
        share = n_things / (n_things + n_stuff)
        slack = half + share * half_things + (1 - share) * half_stuff
        return abs(pq - share * of_things - (1 - share) * of_stuff) <= slack + 1e-9

    if any(fits(*split) for split in splits):
        return
    others = [f"{k} things and {m} stuff ({what})" for (k, m), what in OTHER_SPLITS.items() if fits(k, m)]
    of_another = f" It is the mean over {' or '.join(others)}: another protocol." if others else ""
    expected = (things * of_things + stuff * of_stuff) / (things + stuff)
    yield Finding(
        row.name,
        "error",
        f"PQ {pq:g} is not the mean of its parts: {stuff} stuff classes at {of_stuff:g} and {things} things at "
        f"{of_things:g} give {expected:.2f} (off by {pq - expected:+.2f}, more than rounding).{of_another}",
    )


def _check_bounds(row: PublishedRow) -> Iterable[Finding]:
    for key, value in row.values.items():
        if not 0 <= value <= 100 + row.half_units[key]:
            yield Finding(row.name, "error", f"{key} is {value:g}, but lies between 0 and 100.")
    for group in ("", "_things", "_stuff"):
        for other in ("sq", "rq"):
            keys = (f"pq{group}", f"{other}{group}")
            if set(keys) <= set(row.values):
                pq, bound = (row.values[key] for key in keys)
                if pq > bound + sum(row.half_units[key] for key in keys) + 1e-9:
                    yield Finding(
                        row.name,
                        "error",
                        f"{keys[0]} {pq:g} exceeds {keys[1]} {bound:g}, which means over the same classes cannot.",
                    )


def _check_low_sq(row: PublishedRow) -> Iterable[Finding]:
    for key in ("sq", "sq_things", "sq_stuff"):
        if key in row.values and row.values[key] + row.half_units[key] < 50.0:
            yield Finding(
                row.name,
                "note",
                f"{key} {row.values[key]:g} is below 50, but every match has IoU > 0.5: classes without a match are "
                "averaged as 0; do not compare it with an SQ of matched or pooled segments.",
            )


def _check_product(row: PublishedRow) -> Iterable[Finding]:
    if not {"pq", "sq", "rq"} <= set(row.values):
        return
    pq, sq, rq = (row.values[key] for key in ("pq", "sq", "rq"))
    slack = row.half_units["pq"] + (sq * row.half_units["rq"] + rq * row.half_units["sq"]) / 100.0
    if 0 < pq < 100 and abs(sq * rq / 100.0 - pq) <= slack:
        yield Finding(
            row.name,
            "note",
            f"SQ * RQ = {sq * rq / 100.0:.2f} equals PQ {pq:g} within rounding; means over several classes rarely do, "
            "so one of the three was probably computed from the other two, or all are pooled.",
        )


def _check_counts(row: PublishedRow) -> Iterable[Finding]:
    if not row.counts:
        return
    over_classes, pooled = average(row.counts), average(row.counts, pooled=True)
    for key in ("pq", "sq", "rq"):
        if key not in row.values:
            continue
        printed, slack = row.values[key], row.half_units[key] + 0.01  # SQ per class may itself be rounded to 0.01
        mean = 100.0 * getattr(over_classes, key)
        pool = 100.0 * (pooled.sq * pooled.rq if key == "pq" else getattr(pooled, key))
        if abs(printed - mean) <= slack:
            continue
        if abs(printed - pool) <= slack:
            yield Finding(
                row.name,
                "note",
                f"{key} {printed:g} is pooled over segments; the mean over classes that COCO, torchmetrics and CUPS "
                f"print is {mean:.2f}.",
            )
        else:
            yield Finding(
                row.name,
                "error",
                f"{key} {printed:g} follows from its counts neither as mean over classes ({mean:.2f}) nor pooled "
                f"({pool:.2f}).",
            )
