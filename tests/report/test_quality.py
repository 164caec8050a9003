"""Where the quality on the report page comes from."""

from __future__ import annotations

import json

import pytest

from mbps_dataset.report import quality
from mbps_dataset.scoring.score import score
from tests.formats.label_sets import random_label_set


def test_a_score_of_this_build_and_split_is_taken_and_any_other_is_not(built, monkeypatch):
    path = built.root / "quality.json"
    measured = score(built.root, splits=("validation",)).to_dict()
    assert quality.split_quality(built, "validation")["pq"] == measured["pq"]
    path.write_text(json.dumps({**measured, "pq": 0.123}))
    try:
        found = quality.split_quality(built, "validation")
        assert found["pq"] == 0.123 and set(found["per_class"]) == set(range(19))
        for other in ({"identity": "another"}, {"splits": ["train"]}, {"per_class": {}}):
            path.write_text(json.dumps({**measured, "pq": 0.123, **other}))
            assert quality.split_quality(built, "validation")["pq"] == pytest.approx(measured["pq"])
        path.write_text("{")
        assert quality.split_quality(built, "validation")["pq"] == pytest.approx(measured["pq"])
    finally:
        path.unlink()


def test_without_truth_there_is_no_quality(tmp_path):
    assert quality.split_quality(random_label_set(tmp_path / "set"), "train") is None
