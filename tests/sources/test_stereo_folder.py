"""A plain folder of stereo video: sequences, order in time, calibration."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from mbps_dataset.errors import InputError
from mbps_dataset.sources import StereoFolderSource, open_source
from mbps_dataset.sources.frame import FrameHas
from mbps_dataset.sources.stereo_folder import runs_in_time
from tests.sources.trees import PHOTO, save


CALIBRATION = {"fx": 40.0, "fy": 41, "cx": 31.5, "cy": 15.5, "baseline": 0.2}


def tree(root: Path, names: list[str], **calibration: object) -> Path:
    for number, name in enumerate(names):
        for side, base in (("left", 0), ("right", 100)):
            save(root / side / f"{name}.png", PHOTO + np.uint8(base + number))
    (root / "calibration.json").write_text(json.dumps({**CALIBRATION, **calibration}))
    return root


def test_sub_folders_are_sequences_and_numbers_count_by_value(tmp_path):
    source = StereoFolderSource(tree(tmp_path, ["a/8", "a/9", "a/10", "b/11"]))
    frames = {frame.image_id: frame for frame in source.frames("train")}
    assert list(frames) == ["a/10", "a/8", "a/9", "b/11"] and source.splits() == ("train",)
    assert frames["a/9"].next_frame() == frames["a/10"] and frames["a/9"].neighbour(-1) == frames["a/8"]
    assert frames["a/10"].next_frame() is None and frames["b/11"].neighbour(-1) is None
    assert frames["a/8"].neighbour(2) == frames["a/10"]
    assert frames["a/9"].has() == FrameHas(True, True, True) and frames["a/10"].has() == FrameHas(True, False, True)
    assert frames["a/9"].second_eye()[0, 0, 0] == 101
    assert open_source(**source.describe()).frames("train") == source.frames("train")
    assert pickle.loads(pickle.dumps(frames["a/8"])).next_frame().image_id == "a/9"


@pytest.mark.parametrize(
    ("names", "runs"),
    [
        (["2", "4", "6", "12", "14"], [["2", "4", "6"], ["12", "14"]]),
        (["t1000", "t1099", "t1201", "t1402"], [["t1000", "t1099", "t1201"], ["t1402"]]),  # clocks do not tick evenly
        (["43_00", "43_01", "44_00", "44_01"], [["43_00", "43_01"], ["44_00", "44_01"]]),
        (["apple", "pear"], [["apple", "pear"]]),
        (["only"], [["only"]]),
    ],
)
def test_frames_on_both_sides_of_a_gap_are_no_neighbours(names, runs):
    assert runs_in_time(names[::-1]) == runs


def test_the_calibration_is_the_camera(tmp_path):
    camera = StereoFolderSource(tree(tmp_path, ["0"], width=64, height=32)).frames("train")[0].camera()
    assert camera.intrinsics.tolist() == [[40, 0, 31.5], [0, 41, 15.5], [0, 0, 1]] and camera.baseline_m == 0.2


def test_a_folder_without_calibration_or_a_right_image_opens_all_the_same(tmp_path):
    tree(tmp_path, ["0", "1"])
    (tmp_path / "calibration.json").unlink()
    (tmp_path / "right/1.png").unlink()
    first, second = StereoFolderSource(tmp_path).frames("train")
    assert first.has() == FrameHas(True, True, False) and second.has() == FrameHas(False, False, False)
    assert first.camera() is None and second.second_eye() is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"baseline": None}, "baseline is missing or no number; give a JSON object with fx, fy, cx, cy, baseline"),
        ({"fx": True}, "fx is missing or no number"),
        ({"fx": -3}, "A camera's fx must be positive, but is -3."),
        ({"baseline_mm": 200}, "'baseline_mm' is not known"),
        ({"width": "64"}, "width is '64', but the image is"),
    ],
)
def test_a_damaged_calibration_is_refused_when_the_folder_is_opened(tmp_path, change, message):
    with pytest.raises(InputError) as caught:
        StereoFolderSource(tree(tmp_path, ["0"], **change))
    assert str(caught.value).startswith(f"{tmp_path / 'calibration.json'}: ") and message in str(caught.value)


def test_a_calibration_that_is_no_json_is_refused(tmp_path):
    tree(tmp_path, ["0"])
    (tmp_path / "calibration.json").write_text("fx = 3")
    with pytest.raises(InputError, match=r"calibration\.json: cannot be read \(not JSON"):
        StereoFolderSource(tmp_path)
    (tmp_path / "calibration.json").write_text("[1]")
    with pytest.raises(InputError, match="fx is missing or no number"):
        StereoFolderSource(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 128}, "width is 128, but the image is 64x32; scale the calibration"),
        ({"height": 64}, "height is 64, but the image is 64x32"),
        ({"cx": 64.0}, r"\(64, 15.5\) lies outside the image of 64x32"),
    ],
)
def test_a_calibration_of_another_size_is_refused_by_the_frame(tmp_path, change, message):
    frame = StereoFolderSource(tree(tmp_path, ["0"], **change)).frames("train")[0]
    with pytest.raises(InputError, match=message):
        frame.camera()


def test_folders_that_are_not_stereo_are_refused(tmp_path):
    with pytest.raises(InputError, match="left does not exist; `data_dir` must hold left, right and calibration.json"):
        StereoFolderSource(tmp_path)
    (tmp_path / "left").mkdir()
    (tmp_path / "right").mkdir()
    with pytest.raises(InputError, match="left holds no image"):
        StereoFolderSource(tmp_path)
    tree(tmp_path, ["0"])
    with pytest.raises(InputError, match="No split 'val': a folder of stereo video is one split"):
        StereoFolderSource(tmp_path).frames("val")
    save(tmp_path / "left/0.jpg", PHOTO)
    with pytest.raises(InputError, match="two images are called 0; keep one of them"):
        StereoFolderSource(tmp_path)
