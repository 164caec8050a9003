"""Cells of the report page."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mbps_dataset.report.colouring import Colouring
from mbps_dataset.report.statistics import SplitStatistics
from mbps_dataset.report.tables import average_rows, class_rows, is_number, percent, scored_class_rows, sentence


def scores(**values: float) -> dict:
    groups = {f"{key}{group}": 0.5 for key in ("pq", "sq", "rq") for group in ("", "_things", "_stuff")}
    return groups | values


def test_averages_are_in_percent_and_undefined_ones_are_a_dash() -> None:
    assert average_rows(scores(pq=0.12345, rq_things=math.nan, sq_stuff=None)) == [
        ("all", "12.35", "50.00", "50.00"), ("things", "50.00", "50.00", "–"), ("stuff", "50.00", "–", "50.00"),
    ]  # fmt: skip


def test_classes_stand_by_their_quality() -> None:
    row = {"tp": 1, "fp": 2, "fn": 3, "iou": 0.25}
    quality = {"per_class": {0: row | {"pq": 0.1}, 13: row | {"pq": 0.9}, 5: row | {"pq": None}}}
    assert scored_class_rows(quality) == [
        ("car", "thing", "90.00", "25.00", 1, 2, 3), ("road", "stuff", "10.00", "25.00", 1, 2, 3),
        ("pole", "stuff", "–", "25.00", 1, 2, 3),
    ]  # fmt: skip


def test_class_rows_share_the_pixels_of_the_split() -> None:
    statistics = SplitStatistics(3)
    statistics.pixels[:], statistics.total_px = (10, 0, 40), 100
    entries = [{"name": f"c{k}", "isthing": k == 2, "ratio": None if k else 0.5, "coverage": 0.25} for k in range(3)]
    rows = class_rows(
        {"classes": entries},
        statistics,
        Colouring(np.arange(9, dtype=np.uint8).reshape(3, 3), False, {0: 13}, {0: 11}),
    )
    assert [(row["name"], row["share"], row["bar_px"], row["looks_like"], row["scored_as"]) for row in rows] == [
        ("c2", "40.0%", "100.0", "nothing", "nothing"), ("c0", "10.0%", "25.0", "car", "person"),
        ("c1", "0.0%", "0.0", "nothing", "nothing"),
    ]  # fmt: skip
    assert rows[1]["scored_colour"] == "rgb(220, 20, 60)"
    assert rows[0]["colour"] == "rgb(6, 7, 8)" and (rows[1]["ratio"], rows[2]["ratio"]) == ("0.500", "–")
    assert rows[0]["isthing"] and rows[0]["reason"] == ""


@pytest.mark.parametrize(("cell", "right"), [(3, True), ("12.3", True), ("–", True), ("road", False), ("", False)])
def test_numbers_stand_to_the_right(cell: object, right: bool) -> None:
    assert is_number(cell) is right


def test_words_and_fractions() -> None:
    assert sentence("made without labels") == "Made without labels." and percent(0.5) == "50.00"
