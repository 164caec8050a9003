"""Waymo's Parquet files, and frames that were extracted from them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from mbps_dataset.errors import InputError
from mbps_dataset.sources import open_source
from tests.sources import streets
from tests.sources.trees import PHOTO, save


IDS = {streets.VOID: 0, streets.ROAD: 21, streets.SKY: 25, streets.PERSON: 9, streets.CAR: 2}
LABELS = {"busy": (streets.BUSY, streets.OBJECTS), "quiet": (streets.QUIET, 0 * streets.OBJECTS)}
TIMES = {"busy": 1507, "quiet": 1508}


def label(name: str) -> np.ndarray:
    labels, objects = LABELS[name]
    return (1000 * streets.mapped(labels, IDS, np.int32) + objects).astype(np.uint16)


def encoded(array: np.ndarray, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, kind)
    return buffer.getvalue()


def parquet(root: Path) -> Path:
    """Three cameras a moment, of which one is labelled; two rows a group, as in files that are larger."""
    keys = [(time, camera) for time in TIMES.values() for camera in (1, 2, 3)]
    for kind, rows, columns in (
        ("camera_image", keys, {"[CameraImageComponent].image": [encoded(PHOTO + np.uint8(c), "JPEG") for _, c in keys]}),
        ("camera_segmentation", [(time, 2) for time in TIMES.values()],
         {"[CameraSegmentationLabelComponent].panoptic_label_divisor": [1000, 1000],
          "[CameraSegmentationLabelComponent].panoptic_label": [encoded(label(name)) for name in TIMES]}),
    ):  # fmt: skip
        path = root / "validation" / kind / "10203_segment.parquet"
        path.parent.mkdir(parents=True)
        table = {"key.segment_context_name": ["10203_segment"] * len(rows),
                 "key.frame_timestamp_micros": [time for time, _ in rows],
                 "key.camera_name": pa.array([camera for _, camera in rows], pa.int8())}  # fmt: skip
        pq.write_table(pa.table(table | columns), path, row_group_size=2)
    return root


def extracted(root: Path) -> Path:
    for name, time in TIMES.items():
        for camera in (1, 2):
            save(root / f"validation/camera_image/10203_segment/{time}_{camera}.jpg", PHOTO)
        save(root / f"validation/camera_segmentation/10203_segment/{time}_2.png", label(name))
    save(root / "testing/camera_image/9_segment/1_1.jpg", PHOTO)
    return root


@pytest.mark.parametrize("layout", [parquet, extracted])
def test_labelled_frames_are_read(tmp_path, layout):
    source = open_source("waymo", data_dir=layout(tmp_path))
    frames = source.frames("validation")
    assert [frame.image_id for frame in frames] == [
        "10203_segment/1507_2",
        "10203_segment/1508_2",
    ] and source.has_truth
    for name, frame in zip(LABELS, frames):
        labels, objects = LABELS[name]
        truth = frame.truth()
        assert np.array_equal(truth.label_ids, labels)
        expected = streets.BUSY_INSTANCES if name == "busy" else labels
        assert np.array_equal(truth.instance_ids, expected) and frame.image().shape == (*streets.HW, 3)
    again = open_source(**source.describe()).frames("validation")
    assert again == frames and [f.digest() for f in again] == [f.digest() for f in frames]


def test_the_picture_is_that_of_the_labelled_camera(tmp_path):
    frame = open_source("waymo", data_dir=parquet(tmp_path)).frames("validation")[1]
    assert frame.image_bytes() == encoded(PHOTO + np.uint8(2), "JPEG") and frame.image()[0, 0, 0] == 2


def test_splits_without_labels_list_all_images(tmp_path):
    source = open_source("waymo", data_dir=extracted(tmp_path / "a"))
    assert [frame.has_truth for frame in source.frames("test")] == [False]
    parquet(tmp_path / "b")
    (tmp_path / "b/validation/camera_segmentation/10203_segment.parquet").unlink()
    (tmp_path / "b/validation/camera_segmentation").rmdir()
    frames = open_source("waymo", data_dir=tmp_path / "b").frames("validation")
    assert len(frames) == 6 and not frames[0].has_truth and frames[5].image()[0, 0, 0] == 3


def test_missing_files_and_columns_are_named(tmp_path):
    source = open_source("waymo", data_dir=extracted(tmp_path / "a"))
    streets.check_missing(source, source.frames("validation")[0].label_path, "validation")
    parquet(tmp_path / "b")
    path = tmp_path / "b/validation/camera_segmentation/10203_segment.parquet"
    path.unlink()
    with pytest.raises(
        InputError, match="camera_segmentation/10203_segment.parquet: cannot be read as Parquet of Waymo"
    ):
        open_source("waymo", data_dir=tmp_path / "b")
    pq.write_table(pa.table({"a": [1]}), path)
    with pytest.raises(InputError, match="has no column key.frame_timestamp_micros"):
        open_source("waymo", data_dir=tmp_path / "b")
    pq.write_table(pa.table({"key.frame_timestamp_micros": [5], "key.camera_name": [1]}), path)
    with pytest.raises(InputError, match="has no picture of camera 1 at 5, which"):
        open_source("waymo", data_dir=tmp_path / "b")
