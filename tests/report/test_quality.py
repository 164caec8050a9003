"""Where the quality on the report page comes from."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from mbps_dataset.errors import InputError
from mbps_dataset.report import quality
from mbps_dataset.report.originals import Originals, open_originals
from mbps_dataset.scoring.score import score


def test_a_score_of_this_build_and_split_is_taken_and_any_other_is_not(built, monkeypatch):
    path = built.root / "quality.json"
    measured = score(built.root, splits=("validation",)).to_dict()
    assert quality.split_quality(built, "validation", open_originals(built, "validation"))["pq"] == measured["pq"]
    path.write_text(json.dumps({**measured, "pq": 0.123}))
    try:
        found = quality.split_quality(built, "validation", open_originals(built, "validation"))
        assert found["pq"] == 0.123 and set(found["per_class"]) == set(range(19))
        for other in ({"identity": "another"}, {"splits": ["train"]}, {"per_class": {}}):
            path.write_text(json.dumps({**measured, "pq": 0.123, **other}))
            assert quality.split_quality(built, "validation", open_originals(built, "validation"))[
                "pq"
            ] == pytest.approx(measured["pq"])
        path.write_text("{")
        assert quality.split_quality(built, "validation", open_originals(built, "validation"))["pq"] == pytest.approx(
            measured["pq"]
        )
    finally:
        path.unlink()


def test_without_truth_there_is_no_quality(named):
    assert quality.split_quality(named, "train", Originals()) is None


def test_truth_that_is_given_is_scored_against(built, tmp_path):
    row = next(built.rows("validation"))
    originals = open_originals(built, "validation")
    folder = tmp_path / "truth"
    folder.mkdir()
    for frame in originals.frames.values():
        label_ids = frame.truth().label_ids.copy()
        label_ids[:] = 7
        Image.fromarray(label_ids).save(folder / f"{frame.image_id}_labelIds.png")
    found = quality.split_quality(built, "validation", originals, folder)
    assert [k for k, row in found["per_class"].items() if row["tp"] + row["fn"]] == [0]
    with pytest.raises(InputError, match="does not exist"):
        quality.split_quality(built, "validation", originals, tmp_path / row.image_id)
