"""Tables as text: layout of the report, dashes, marks, and rows that a linter can read back."""

from __future__ import annotations

import math

from mbps_dataset.ablation.rendering import as_document, as_markdown
from mbps_dataset.ablation.results import RowResult
from mbps_dataset.ablation.rows import Row, Table
from mbps_dataset.metrics import rows_from_markdown


VALUES = {"pq": 0.2341, "pq_stuff": 0.3, "pq_things": 0.14, "sq": 0.7, "rq": 0.3, "miou": math.nan, "instances": 5.25,
          "things": 6.0, "right_side": 15.0, "classes": 19.0}  # fmt: skip
CLASSES = {13: {"tp": 3, "fp": 4, "fn": 5}, 11: {"tp": 0, "fp": 2, "fn": 9}}
COLUMNS = ("pq", "pq_stuff", "pq_things", "delta_pq", "car", "person_fp", "miou", "instances", "split", "things")


def text() -> str:
    table = Table("4", "Components", COLUMNS, (Row("Full"), Row("Less"), Row("Truth"), Row("Absent")))
    rows = [
        RowResult("Full", values=VALUES, per_class=CLASSES),
        RowResult("Less", values=VALUES | {"pq": 0.2}, note="mean of 10"),
        RowResult("Truth", values=VALUES | {"pq": 0.25}, measurement_only=True),
        RowResult("Absent", unavailable="not run: no file"),
    ]
    return as_markdown(["On one image.", "Convention `report`."], [(table, rows)])


def test_a_table_has_the_layout_of_the_report():
    lines = text().splitlines()
    assert lines[:2] == ["- On one image.", "- Convention `report`."]
    assert lines[3:] == [
        "**Table 4: Components**",
        "",
        "| Row | PQ | PQ^St | PQ^Th | ΔPQ | Car TP/FP | Person FP | mIoU | Inst/img | Right side | Things |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
        "| Full | 23.41 | 30.00 | 14.00 | – | 3/4 | 2 | – | 5.2 | 15/19 | 6 |",
        "| Less (mean of 10) | 20.00 | 30.00 | 14.00 | −3.41 | – | – | – | 5.2 | 15/19 | 6 |",
        "| Truth † | 25.00 | 30.00 | 14.00 | +1.59 | – | – | – | 5.2 | 15/19 | 6 |",
        "| Absent (not run: no file) | – | – | – | – | – | – | – | – | – | – |",
    ]


def test_the_papers_numbers_stand_beside_ours_and_stay_where_ours_are_missing():
    columns = ("pq", "paper_pq", "miou_0_10", "paper_miou_0_10", "miou_30_inf", "paper_miou_30_inf")
    rows = [
        RowResult("Low", values=VALUES | {"miou_0_10": 0.3, "miou_30_inf": math.nan}, published={"pq": 15.9}),
        RowResult("Depth", unavailable="not run: no depth", published={"pq": 18.1, "miou_30_inf": 27.3}),
    ]
    table = Table("cups-10b", "By distance", columns, (Row("Low"), Row("Depth")))
    assert as_markdown([], [(table, rows)]).splitlines()[1:] == [
        "**Table 10b of CUPS: By distance**",
        "",
        "| Row | PQ | PQ in the paper | mIoU 0–10 m | mIoU 0–10 m in the paper | mIoU > 30 m | mIoU > 30 m in the paper |",
        "|---|---|---|---|---|---|---|",
        "| Low | 23.41 | 15.9 | 30.00 | – | – | – |",
        "| Depth (not run: no depth) | – | 18.1 | – | – | – | 27.3 |",
    ]
    row = as_document({}, [(table, rows)])["tables"]["cups-10b"]["rows"][1]
    assert row["published_percent"] == {"pq": 18.1, "miou_30_inf": 27.3} and "pq" not in row


def test_changes_stand_with_their_interval_where_there_is_one():
    rows = [
        RowResult("First", values=VALUES, intervals={"pq": (0.2, 0.3), "delta_pq": (0.0, 0.0)}),
        RowResult("Second", values=VALUES | {"pq": 0.25}, intervals={"pq": (0.2, 0.3), "delta_pq": (-0.01, 0.052)}),
        RowResult("Third", values=VALUES),
        RowResult("Fourth", values=VALUES, intervals={"delta_pq": (math.nan, math.nan)}),
    ]
    table = Table("cups-6", "Threshold", ("change_pq",), tuple(Row(row.name) for row in rows))
    assert as_markdown([], [(table, rows)]).splitlines()[3:] == [
        "| Row | ΔPQ (95 %) |",
        "|---|---|",
        "| First | – |",
        "| Second | +1.59 (−1.00 to +5.20) |",
        "| Third | +0.00 |",
        "| Fourth | +0.00 (– to –) |",
    ]
    written = as_document({}, [(table, rows)])["tables"]["cups-6"]["rows"]
    assert written[1]["intervals"] == {"pq": [0.2, 0.3], "delta_pq": [-0.01, 0.052]}
    assert written[3]["intervals"] == {"delta_pq": None} and "intervals" not in written[2]


def test_printed_rows_can_be_read_back():
    rows = rows_from_markdown(text())
    assert [row.name for row in rows] == ["Full", "Less (mean of 10)", "Truth †"]
    assert rows[0].values == {"pq": 23.41, "pq_stuff": 30.0, "pq_things": 14.0}


def test_the_document_holds_fractions():
    table = Table("8", "CRF", ("pq",), (Row("Full"),))
    document = as_document({"images": 1}, [(table, [RowResult("Full", values=VALUES, per_class=CLASSES)])])
    (row,) = document["tables"]["8"]["rows"]
    assert document["about"] == {"images": 1} and row["pq"] == 0.2341 and row["miou"] is None
    assert row["per_class"]["person"] == {"tp": 0, "fp": 2, "fn": 9}
