"""Images join label-only rows by id."""

from __future__ import annotations

import json

import datasets
import numpy as np
import pytest
from PIL import Image

import mbps_dataset
from mbps_dataset.errors import InputError
from mbps_dataset.hub.attach import attach_images
from mbps_dataset.sources import FolderSource, StereoFolderSource


def rows(*ids: str) -> datasets.Dataset:
    return datasets.Dataset.from_dict({"image_id": list(ids), "area": list(range(len(ids)))})


def test_images_are_joined_in_row_order_without_copies(tmp_path):
    for value, name in ((10, "b.png"), (20, "sub/a.png")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((40, 40, 3), value, np.uint8)).save(tmp_path / name)
    joined = attach_images(rows("sub/a", "b"), tmp_path)
    assert joined.column_names == ["image_id", "image", "area"]
    assert [np.array(row["image"])[0, 0, 0] for row in joined] == [20, 10]
    undecoded = joined.cast_column("image", datasets.Image(decode=False))[0]["image"]
    assert undecoded["bytes"] is None and undecoded["path"] == str(tmp_path / "sub/a.png")
    assert attach_images(joined, tmp_path).column_names == joined.column_names


def test_cityscapes_tree_is_recognised(tmp_path):
    folder = tmp_path / "leftImg8bit/val/lindau"
    folder.mkdir(parents=True)
    Image.new("RGB", (64, 64)).save(folder / "lindau_000000_000019_leftImg8bit.png")
    assert attach_images(rows("lindau_000000_000019"), tmp_path)[0]["image"].size == (64, 64)


def test_frames_of_sequences_are_joined_as_they_were_listed(tmp_path):
    folder = tmp_path / "leftImg8bit_sequence/val/lindau"
    folder.mkdir(parents=True)
    Image.new("RGB", (64, 64)).save(folder / "lindau_000000_000007_leftImg8bit.png")
    joined = attach_images(rows("lindau_000000_000007"), tmp_path, sequence=True)
    assert joined[0]["image"].size == (64, 64)


def test_images_of_stereo_video_are_joined_by_its_own_ids(tmp_path):
    for eye in ("left", "right"):
        (tmp_path / eye).mkdir()
        Image.new("RGB", (64, 64)).save(tmp_path / eye / "0001.png")
    camera = {"fx": 50, "fy": 50, "cx": 32, "cy": 32, "baseline": 0.5}
    (tmp_path / "calibration.json").write_text(json.dumps(camera))
    (frame,) = StereoFolderSource(tmp_path).frames("train")
    assert attach_images(rows(frame.image_id), tmp_path)[0]["image"].size == (64, 64)
    with pytest.raises(InputError, match="and source= if they were not made as 'folder'"):
        attach_images(rows(frame.image_id), tmp_path, source="folder")


def test_rows_without_a_file_are_named(tmp_path):
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match="no image for 2 of 3 rows, e.g. x, y"):
        attach_images(rows("a", "x", "y"), tmp_path)


def test_what_can_be_no_path_is_refused():
    with pytest.raises(InputError, match="data_dir .* is no path"):
        attach_images(rows("a"), "~a_user_that_nobody_has/photos")


def test_files_that_another_reader_would_take_are_refused(tmp_path):
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EOF\n")
    with pytest.raises(InputError, match="a.png: not a PNG, JPEG or WebP image; convert it"):
        attach_images(rows("a"), tmp_path)


def test_joined_pictures_are_those_that_were_labelled(tmp_path):
    values = np.linspace(0, 65535, 40 * 60).reshape(40, 60).astype(np.uint16)
    Image.fromarray(values).save(tmp_path / "a.PNG")
    joined = attach_images(rows("a"), tmp_path)[0]["image"]
    assert np.array_equal(mbps_dataset.to_rgb(joined)[..., 0], np.round(values / 257.0))
    assert np.array_equal(mbps_dataset.to_rgb(joined), FolderSource(tmp_path).frames("train")[0].image())
