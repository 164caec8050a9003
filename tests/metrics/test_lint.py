from __future__ import annotations

import json

import pytest

from mbps_dataset.metrics import PanopticQuality, lint_rows, rows_from_json, rows_from_markdown
from mbps_dataset.metrics.lint import canonical_key
from tests.metrics.scenes import STUFF, THINGS, random_scene
from tests.vectors import load_vectors


TABLE = r"""
Ablation of the report, and others.

| Configuration | PQ | PQ$^\text{St}$ | PQ$^\text{Th}$ | SQ | RQ | year |
|:--|--:|--:|--:|--:|--:|--:|
| **full** | **23.1** | 31.4 | 11.7 | 74.3 | 31.7 | 2026 |
| - CRF | 22.6 | 27.8 | 11.0 | - | - | 2026 |
| all stuff | 19.8 | 31.4 | 0.0 | | | 2026 |
| CUPS | 27.8 | 35.1 | 17.7 | 57.4 | 35.2 | 2025 |
| DepthG + CutLER | 16.1 | | | 45.4 | 21.1 | 2025 |

| not | ours |
|--|--|
| a | 1 |
"""


def findings(rows, **options) -> list[tuple[str, str]]:
    return [(finding.row, finding.level) for finding in lint_rows(rows, **options)]


def test_a_published_table() -> None:
    rows = rows_from_markdown(TABLE)
    assert [row.name for row in rows] == ["full", "- CRF", "all stuff", "CUPS", "DepthG + CutLER"]
    assert rows[0].values == {"pq": 23.1, "pq_stuff": 31.4, "pq_things": 11.7, "sq": 74.3, "rq": 31.7}
    found = findings(rows)
    assert ("- CRF", "error") in found and ("all stuff", "error") in found
    assert ("DepthG + CutLER", "note") in found
    assert not {"full", "CUPS"} & {name for name, _ in found}
    messages = [str(finding) for finding in lint_rows(rows)]
    assert "11 stuff classes at 27.8 and 8 things at 11 give 20.73 (off by +1.87" in messages[0]


def test_an_sq_below_50_averages_classes_without_a_match() -> None:
    rows = rows_from_json({"PQ": 16.1, "SQ": 45.4, "RQ": 21.1})
    assert findings(rows) == [("result", "note")]


@pytest.mark.parametrize(("pq", "levels"), [(23.0, ["error"]), (23.1, []), (23.2, []), (23.3, ["error"])])
def test_rounding_is_no_error_and_more_is(pq: float, levels: list[str]) -> None:
    row = rows_from_json({"PQ": pq, "PQ_stuff": 31.4, "PQ_things": 11.7})  # the mean is 23.105, give or take 0.05
    assert [level for _, level in findings(row)] == levels


def test_pq_above_its_factors() -> None:
    assert findings(rows_from_json({"PQ": 51.2, "SQ": 81.6, "RQ": 38.6})) == [("result", "error")]


def test_a_product_that_fits_too_well() -> None:
    assert findings(rows_from_json({"PQ": 23.6, "SQ": 74.3, "RQ": 31.7})) == [("result", "note")]


def test_pooled_averages_are_told_apart_by_counts_by_vectors() -> None:
    report = json.loads(str(load_vectors("pq_eval")["sweep_metrics_json"]))
    messages = [finding.message for finding in lint_rows(rows_from_json(report))]
    assert any("sq 81.59 is pooled over segments; the mean over classes" in message for message in messages)
    assert any("rq 38.55 is pooled" in message for message in messages)
    assert not any("is not the mean of its parts" in message for message in messages)
    report["PQ"] = 60.0
    messages = [finding.message for finding in lint_rows(rows_from_json(report))]
    assert any("pq 60 follows from its counts neither" in message for message in messages)


@pytest.mark.parametrize("convention", ["coco", "cups"])
def test_our_own_results_are_clean(convention: str) -> None:
    metric = PanopticQuality(THINGS, STUFF, convention=convention)
    for seed in range(4):
        metric.update(**random_scene(seed))
    data = json.loads(json.dumps(metric.compute().to_dict()))
    assert [str(f) for f in lint_rows(rows_from_json(data), thing_count=2, stuff_count=3)] == []
    assert rows_from_json(data)[0].values["pq"] == pytest.approx(100 * data["pq"])


def test_json_shapes() -> None:
    row = {"PQ": 20.0, "name": "a"}
    assert [r.name for r in rows_from_json([row, row | {"name": "b"}, {"PQ": 1.5}])] == ["a", "b", "result 3"]
    assert [r.name for r in rows_from_json({"ours": row, "theirs": {"run": row}})] == ["ours", "run"]
    assert rows_from_json("text") == []


def test_spellings() -> None:
    for text in ("PQ^Th", "PQ_th", "pq_things", "PQ (thing)", r"PQ$^{\text{Th}}$", "PQ-Things"):
        assert canonical_key(text) == "pq_things", text
    for text in ("PQ", "PQ_all", "pq"):
        assert canonical_key(text) == "pq", text
    for text in ("mIoU", "PQ7", "year", "", "pq_pooled"):
        assert canonical_key(text) in ("", "pq"), text
    assert canonical_key("pq_pooled") == "" and canonical_key("SQ^St") == "sq_stuff"


@pytest.mark.parametrize("value", [float("inf"), -3.0, 240.5])
def test_a_number_that_no_share_can_have_is_an_error(value):
    findings = lint_rows(rows_from_json({"ours": {"PQ": value, "PQ_th": 20.0}}))
    assert [str(finding) for finding in findings] == [f"ours: error: pq is {value:g}, but lies between 0 and 100."]


def test_a_row_of_other_classes_is_told_of_which():
    """Both circulate as one comparison: the first was made with 10 things of 26 classes, the second with 8 of 19."""
    text = """| method | PQ | PQ_th | PQ_st |
|---|---|---|---|
| one | 35.83 | 36.26 | 35.56 |
| CUPS | 27.8 | 17.7 | 35.1 |
| neither | 50.0 | 20.0 | 25.0 |
"""
    other, neither = (str(finding) for finding in lint_rows(rows_from_markdown(text)))
    assert other.startswith("one: error: PQ 35.83 is not the mean of its parts") and "give 35.85" in other
    assert "It is the mean over 10 things and 16 stuff (26 classes" in other and other.endswith("another protocol.")
    assert neither.startswith("neither: error") and "another protocol" not in neither
