"""Training sees images and intrinsics."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mbps_dataset.training.source_data as training_data
from mbps_dataset.errors import InputError
from mbps_dataset.scenes import render_triplet
from mbps_dataset.sources import CityscapesSource, FolderSource, ScenesSource, open_source
from mbps_dataset.training.source_data import SourcePictures, SourceTriplets
from tests.sources.trees import save


def test_the_source_text_never_asks_for_truth():
    tree = ast.parse(Path(training_data.__file__).read_text(encoding="utf-8"))
    names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert "frames" in names
    assert not names & {"truth", "label_path", "instance_path", "label_ids", "instance_ids", "depth", "depth_m"}


def test_pictures_have_the_networks_size():
    frames = ScenesSource(train=2, validation=0, height=64, width=128).frames("train")
    pictures = SourcePictures(frames)
    assert len(pictures) == 2 and pictures[1].shape == (322, 644, 3) and pictures[1].dtype == np.uint8


def test_triplets_of_scenes():
    triplets = SourceTriplets(ScenesSource(train=2, validation=0, height=64, width=128), "train", 32, 64)
    assert len(triplets) == 2 and len(triplets[:1]) == 1
    assert triplets[0].current.shape == (32, 64, 3) and triplets[0].intrinsics[0, 2] == pytest.approx(31.5, abs=1)
    assert not np.array_equal(triplets[0].previous, triplets[0].next)


def test_triplets_of_a_stereo_folder(tmp_path):
    for number in range(3):
        for eye in ("left", "right"):
            save(tmp_path / eye / f"{number}.png", np.full((32, 64, 3), 10 * number, np.uint8))
    numbers = {"fx": 100.0, "fy": 101.0, "cx": 32.0, "cy": 16.0, "baseline": 0.5}
    (tmp_path / "calibration.json").write_text(json.dumps(numbers))
    triplets = SourceTriplets(open_source("stereo", data_dir=tmp_path), "train", 32, 64)
    assert len(triplets) == 1
    assert [frame[0, 0, 0] for frame in (triplets[0].previous, triplets[0].current, triplets[0].next)] == [0, 10, 20]
    assert triplets[0].intrinsics.tolist() == [[100, 0, 32], [0, 101, 16], [0, 0, 1]]


CAMERA = {"extrinsic": {"baseline": 0.2}, "intrinsic": {"fx": 100.0, "fy": 101.0, "u0": 32.0, "v0": 16.0}}


def test_triplets_of_cityscapes_need_neighbours_and_camera(tmp_path):
    def grey(tree, name, value):
        save(tmp_path / tree / "train/ulm" / name, np.full((32, 64, 3), value, np.uint8))

    grey("leftImg8bit", "ulm_000000_000019_leftImg8bit.png", 20)
    with pytest.raises(InputError, match="no image has both neighbours and a camera file"):
        SourceTriplets(CityscapesSource(tmp_path), "train", 32, 64)
    for number in (18, 20):
        grey("leftImg8bit_sequence", f"ulm_000000_0000{number}_leftImg8bit.png", number)
    camera = tmp_path / "camera/train/ulm/ulm_000000_000019_camera.json"
    camera.parent.mkdir(parents=True)
    camera.write_text(json.dumps(CAMERA))
    triplet = SourceTriplets(CityscapesSource(tmp_path), "train", 32, 64)[0]
    assert [frame[0, 0, 0] for frame in (triplet.previous, triplet.current, triplet.next)] == [18, 20, 20]
    assert triplet.intrinsics.tolist() == [[100, 0, 32], [0, 101, 16], [0, 0, 1]]
    triplets = SourceTriplets(CityscapesSource(tmp_path), "train", 32, 64)
    camera.write_text(json.dumps({**CAMERA, "intrinsic": {**CAMERA["intrinsic"], "u0": 64.0}}))
    with pytest.raises(InputError, match="_camera.json: its principal point .* is not near the middle"):
        triplets.triplet(0)
    camera.write_text("{}")
    with pytest.raises(InputError, match="_camera.json: not a Cityscapes camera file"):
        triplets.triplet(0)
    camera.unlink()
    with pytest.raises(
        InputError, match="ulm_000000_000019: a file of its triplet has gone since the folder was listed"
    ):
        triplets.triplet(0)


def test_triplets_of_scenes_are_the_views_of_three_moments():
    scenes = ScenesSource(train=1, validation=0, height=64, width=128)
    (frame,) = scenes.frames("train")
    triplet = SourceTriplets(scenes, "train", 64, 128)[0]
    for found, view in zip(
        (triplet.previous, triplet.current, triplet.next), render_triplet(frame.seed, frame.settings)
    ):
        assert np.array_equal(found, view.image) and np.array_equal(triplet.intrinsics, view.intrinsics.matrix())


def test_a_folder_has_no_triplets(tmp_path):
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match="leftImg8bit_sequence and camera"):
        SourceTriplets(FolderSource(tmp_path), "train", 32, 64)
