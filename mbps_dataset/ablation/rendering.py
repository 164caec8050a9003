"""Tables as Markdown in the report's layout, and everything measured as one JSON document.

The head says what the numbers cannot be compared without: images, metric convention, how clusters were named, who wins
an overlap. Percentages; a dash where nothing was measured or nothing is defined; † marks rows that use ground truth.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mbps_dataset.ablation.results import DECIMALS, RowResult
from mbps_dataset.ablation.rows import Table


Cell = Callable[[RowResult, RowResult], str]
"""A cell from the row and the first row of its table."""

DASH = "–"
CAR, PERSON = 13, 11


def _percent(name: str) -> Cell:
    return lambda row, first: _number(100 * row.values[name])


def _change(name: str) -> Cell:
    def cell(row: RowResult, first: RowResult) -> str:
        return DASH if row is first else _number(100 * (row.values[name] - first.values[name]), "+")

    return cell


def _change_between(name: str) -> Cell:
    """The change against the first row, with its interval where images were drawn again."""

    def cell(row: RowResult, first: RowResult) -> str:
        change = _change(name)(row, first)
        if row is first or f"delta_{name}" not in row.intervals:
            return change
        low, high = (_number(100 * bound, "+") for bound in row.intervals[f"delta_{name}"])
        return f"{change} ({low} to {high})"

    return cell


def _counts(class_id: int, *keys: str) -> Cell:
    def cell(row: RowResult, first: RowResult) -> str:
        counts = row.per_class.get(class_id)
        return "/".join(str(int(counts[key])) for key in keys) if counts else DASH

    return cell


def _number(value: float, sign: str = "") -> str:
    if math.isnan(value):
        return DASH
    return f"{value:{sign}.{DECIMALS}f}".replace("-", "−") if sign else f"{value:.{DECIMALS}f}"


def _split(row: RowResult, first: RowResult) -> str:
    return f"{row.values['right_side']:.3g}/{row.values['classes']:.3g}"


COLUMNS: dict[str, tuple[str, Cell]] = {
    "pq": ("PQ", _percent("pq")),
    "pq_stuff": ("PQ^St", _percent("pq_stuff")),
    "pq_things": ("PQ^Th", _percent("pq_things")),
    "sq": ("SQ", _percent("sq")),
    "rq": ("RQ", _percent("rq")),
    "sq_pooled": ("SQ pooled", _percent("sq_pooled")),
    "rq_pooled": ("RQ pooled", _percent("rq_pooled")),
    "delta_pq": ("ΔPQ", _change("pq")),
    "change_pq": ("ΔPQ (95 %)", _change_between("pq")),
    "change_miou": ("ΔmIoU (95 %)", _change_between("miou")),
    "miou": ("mIoU", _percent("miou")),
    "delta_miou": ("ΔmIoU", _change("miou")),
    "instances": ("Inst/img", lambda row, first: f"{row.values['instances']:.1f}"),
    "car": ("Car TP/FP", _counts(CAR, "tp", "fp")),
    "person": ("Person TP/FP", _counts(PERSON, "tp", "fp")),
    "car_fp": ("Car FP", _counts(CAR, "fp")),
    "person_fp": ("Person FP", _counts(PERSON, "fp")),
    "split": ("Right side", _split),
    "void": ("Void", _percent("predicted_void_share")),
    "things": ("Things", lambda row, first: f"{row.values['things']:.3g}"),
    "found": ("Things found", _percent("found")),
    "false_things": ("False things/img", lambda row, first: f"{row.values['false_things']:.1f}"),
}
"""Title and cell of the columns that a table may have; `column` knows two more kinds."""

PAPER = "paper_"


def column(name: str) -> tuple[str, Cell]:
    """Title and cell of a column: one of `COLUMNS`, mIoU of a range of distance, or "paper_" and one of these.

    >>> column("miou_30_inf")[0], column("paper_pq")[0]
    ('mIoU > 30 m', 'PQ in the paper')
    """
    if name.startswith(PAPER):
        value = name.removeprefix(PAPER)
        return f"{column(value)[0]} in the paper", lambda row, first: _published(row.published.get(value))
    if name not in COLUMNS and name.startswith("miou_"):
        near, far = name.split("_")[1:]
        return f"mIoU > {near} m" if far == "inf" else f"mIoU {near}–{far} m", _percent(name)
    return COLUMNS[name]


def _published(percent: float | None) -> str:
    return DASH if percent is None else f"{percent:.1f}"


def as_markdown(head: Sequence[str], tables: Sequence[tuple[Table, Sequence[RowResult]]]) -> str:
    """A document of all tables under `head`, a list of sentences."""
    parts = [*(f"- {sentence}" for sentence in head), ""]
    for table, rows in tables:
        parts += [*_table(table, rows), ""]
    return "\n".join(parts)


def _table(table: Table, rows: Sequence[RowResult]) -> list[str]:
    titles = ["Row", *(column(name)[0] for name in table.columns)]
    lines = [f"**{table.heading}: {table.title}**", "", _line(titles), "|" + "---|" * len(titles)]
    for row in rows:
        cells = [
            DASH if row.unavailable and not name.startswith(PAPER) else column(name)[1](row, rows[0])
            for name in table.columns
        ]
        remark = row.unavailable or row.note
        mark = " †" if row.measurement_only else ""
        lines.append(_line([row.name + mark + (f" ({remark})" if remark else ""), *cells]))
    return lines


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def as_document(about: Mapping[str, Any], tables: Sequence[tuple[Table, Sequence[RowResult]]]) -> dict[str, Any]:
    """Everything measured, as fractions, ready for JSON; `about` says on what and how."""
    return {
        "about": dict(about),
        "tables": {
            table.name: {"title": table.title, "rows": [row.to_dict() for row in rows]} for table, rows in tables
        },
    }
