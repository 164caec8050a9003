"""What is read of a label set to score it: two columns, and they hold all that the other maps say."""

from __future__ import annotations

import numpy as np
import pytest

from mbps_dataset.errors import InputError
from mbps_dataset.labelset import parquet_files
from mbps_dataset.scoring.label_set_labels import predicted_labels, true_labels
from mbps_dataset.scoring.score import score
from mbps_dataset.sources import FolderSource
from tests.formats.label_sets import random_label_set
from tests.tiny import write_photographs


def test_only_segments_are_read(built, monkeypatch):
    asked, opened = set(), parquet_files._opened

    def watched(path, columns=None):
        asked.update(["every column"] if columns is None else columns)
        return opened(path, columns)

    parquet_files._group_starts.cache_clear()
    parquet_files._group.cache_clear()
    for path in built.files("validation"):
        parquet_files.read_row(path, 0, ["image_id"])  # where groups begin is known from here on
    monkeypatch.setattr(parquet_files, "_opened", watched)
    plain = score(built.root, splits=("validation",))
    assert asked == {"image_id", "panoptic", "segments_info"}
    truth_has_depth = score(built.root, splits=("validation",), distances=(0, 30, 60))
    assert truth_has_depth.result == plain.result and truth_has_depth.distance_unit == "metres of the ground truth"


def test_the_segments_say_all_that_the_other_maps_say(built):
    labels = predicted_labels(built, ("validation",), 19, split_in_id=True, with_depth=True)
    rows = list(built.rows("validation"))
    assert list(labels) == [f"validation/{row.image_id}" for row in rows] and len(rows) == 2
    for row in rows:
        found = labels[f"validation/{row.image_id}"]
        assert np.array_equal(found.semantic[row.panoptic > 0], row.semantic[row.panoptic > 0])
        assert (found.semantic[row.panoptic == 0] == built.calibration.void).all()
        things = np.isin(found.semantic, built.calibration.things)
        assert np.array_equal(things & (found.instance > 0), row.instance > 0)
        assert np.array_equal(found.depth, row.depth)
        assert found.scores == {segment["id"]: segment["score"] for segment in row.segments}
    assert labels.label_set.things == built.calibration.things


def test_truth_of_the_source_has_depth_in_metres(built):
    truth = true_labels(built, ("validation",), 19)
    frame = built.open_source().frames("validation")[0]
    found = truth[f"validation/{frame.image_id}"]
    assert np.array_equal(found.depth, frame.truth().depth_m) and found.crowd.shape == found.semantic.shape


def test_an_unknown_split_is_named(built):
    with pytest.raises(InputError, match="no split 'test'"):
        predicted_labels(built, ("test",), 19, split_in_id=True)


def test_truth_that_has_moved_is_named_with_what_to_do(tmp_path):
    built = random_label_set(tmp_path / "set")
    built.document["source"] = {"name": "folder", "data_dir": str(tmp_path / "gone")}
    with pytest.raises(InputError, match=r"gone does not exist.* built from there\. If it has moved, .* --truth\."):
        true_labels(built, ("train",), 19)
    write_photographs(tmp_path / "here", 1)
    assert len(true_labels(built, ("train",), 19, FolderSource(tmp_path / "here"))) == 0
