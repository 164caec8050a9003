"""The tables of the report page, row by row, for its template to lay out: what stands in a cell, never how it looks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mbps_dataset import taxonomy
from mbps_dataset.report.colouring import Colouring, name_19
from mbps_dataset.report.statistics import SplitStatistics


def average_rows(quality: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """PQ, SQ and RQ in percent over all classes, things and stuff."""
    return [
        (title, *(percent(quality[f"{key}{group}"]) for key in ("pq", "sq", "rq")))
        for title, group in (("all", ""), ("things", "_things"), ("stuff", "_stuff"))
    ]


def scored_class_rows(quality: Mapping[str, Any]) -> list[tuple[str | int, ...]]:
    """Each class with its PQ, IoU and counts of right, wrong and missed segments; the best first."""
    return [
        (taxonomy.NAMES_19[k], "thing" if k in taxonomy.THINGS_19 else "stuff", percent(row["pq"]),
         percent(row["iou"]), row["tp"], row["fp"], row["fn"])
        for k, row in sorted(quality["per_class"].items(), key=lambda item: -(item[1]["pq"] or 0))
    ]  # fmt: skip


def class_rows(
    calibration: Mapping[str, Any], statistics: SplitStatistics, colouring: Colouring
) -> list[dict[str, Any]]:
    """Each class of the label set with its colours, share of the pixels, and why it is a thing or stuff; largest first.

    `bar_px` is the width of its bar; `looks_like` the true class whose colour it wears and `scored_as` the class that
    scoring paired it with, "–" where that is not known.
    """
    total, most = max(statistics.total_px, 1), max(int(statistics.pixels.max(initial=1)), 1)
    rows, scored = [], colouring.scored_palette()
    for index in np.argsort(-statistics.pixels, kind="stable").tolist():
        entry, pixels = calibration["classes"][index], int(statistics.pixels[index])
        rows.append({
            "name": entry["name"], "isthing": entry["isthing"], "reason": entry.get("reason", ""),
            "colour": css_colour(colouring.palette[index]), "scored_colour": css_colour(scored[index]),
            "looks_like": "–" if colouring.overlapped is None else name_19(colouring.overlapped.get(index)),
            "scored_as": "–" if colouring.scored_as is None else name_19(colouring.scored_as.get(index)),
            "bar_px": f"{100 * pixels / most:.1f}", "share": f"{pixels / total:.1%}",
            "ratio": three_digits(entry["ratio"]), "coverage": three_digits(entry["coverage"]),
        })  # fmt: skip
    return rows


def css_colour(colour: NDArray[np.uint8]) -> str:
    """
    >>> css_colour(np.array([1, 2, 3], np.uint8))
    'rgb(1, 2, 3)'
    """
    return "rgb({}, {}, {})".format(*colour)


def percent(value: float | None) -> str:
    """A fraction in percent, "–" where it is undefined."""
    return "–" if value is None or value != value else f"{100 * value:.2f}"


def three_digits(value: float | None) -> str:
    """Three digits after the point, "–" where there is no number."""
    return "–" if value is None else f"{value:.3f}"


def is_number(cell: object) -> bool:
    """Whether a cell holds a number, written or not, and stands to the right."""
    return not isinstance(cell, str) or cell[:1].isdigit() or cell == "–"


def sentence(text: str) -> str:
    """`text` with a capital and a full stop."""
    return f"{text[:1].upper()}{text[1:]}."
