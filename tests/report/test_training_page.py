"""The page of a training holds its curve, its measures, and what the network learned from."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from mbps_dataset.report.training_page import render, write_training_page
from tests.models.panoptic.test_record import FROM, RECORD


ENTRIES = [
    {"step": 10, "loss": 3.0, "losses": {"classes": 3.0}, "gradient": 1.0},
    {"step": 10, "validation": {"pq": 0.25, "pq_things": 0.5}},
    {"step": 20, "loss": 1.5, "losses": {"classes": 1.5}, "gradient": 1.0},
    {"step": 20, "validation": {"pq": 0.5}},
]


def test_the_page(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in ENTRIES))
    text = write_training_page(tmp_path, RECORD).read_text()
    assert "20 steps; its loss is 1.5 at the end" in text and "data:image/png;base64," in text
    assert "<td>10</td><td>25.0 %</td><td>50.0 %</td>" in text and "<td>20</td><td>50.0 %</td><td>nan %</td>" in text
    assert "sha256:" + "ab" * 32 in text and "<td>ground truth used for the labels</td><td>none</td>" in text
    assert "<td>cause</td><td>no labels</td>" in text and "<td>crop</td><td>8,16</td>" in text
    assert "http" not in text


def test_text_is_escaped_and_an_empty_log_has_a_page() -> None:
    text = render([], replace(RECORD, learned_from=replace(FROM, source="<script>", ground_truth_used=("names",))))
    assert "&lt;script&gt;" in text and "<script>" not in text and "0 steps." in text
    assert "<td>names</td>" in text and "give --val to measure" in text
