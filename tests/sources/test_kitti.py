"""KITTI raw and KITTI 2015, in their layouts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mbps_dataset.errors import InputError
from mbps_dataset.sources import KittiSource, open_source
from mbps_dataset.sources.frame import FrameHas
from mbps_dataset.sources.stereo_video import missing_for_stereo_video, read_stereo_video
from tests.sources import streets
from tests.sources.trees import PHOTO, save


CALIBRATION = """calib_time: 09-Jan-2012 13:57:47
S_rect_02: 6.400000e+01 3.200000e+01
P_rect_02: 4.0e+01 0.0 3.0e+01 2.0e+00 0.0 4.1e+01 1.6e+01 2.163791e-01 0.0 0.0 1.0 2.745884e-03
S_rect_03: 6.400000e+01 3.200000e+01
P_rect_03: 4.0e+01 0.0 3.0e+01 -1.9e+01 0.0 4.1e+01 1.6e+01 2.199936e+00 0.0 0.0 1.0 2.729905e-03
"""
DRIVE = "2011_09_26_drive_0001_sync"


def raw_tree(root: Path) -> Path:
    date = root / "2011_09_26"
    for camera, base in (("image_02", 0), ("image_03", 100), ("image_00", 50)):
        for number in (0, 1, 2, 4):
            save(date / DRIVE / camera / "data" / f"{number:010d}.png", PHOTO + np.uint8(base + number))
    (date / "calib_cam_to_cam.txt").write_text(CALIBRATION)
    return root


def tree_2015(root: Path) -> Path:
    for folder in ("training", "testing"):
        for camera, base in (("image_2", 0), ("image_3", 100)):
            for moment in (10, 11):
                save(root / folder / camera / f"000003_{moment}.png", PHOTO + np.uint8(base + moment))
        calibration = root / folder / "calib_cam_to_cam/000003.txt"
        calibration.parent.mkdir()
        calibration.write_text(CALIBRATION)
    return root


def values(frame) -> list[int]:
    video = read_stereo_video(frame)
    return [int(image[0, 0, 0]) for image in (video.left, video.right, video.next_left, video.next_right)]


def test_raw_drives_are_one_split_named_by_drive_and_frame(tmp_path):
    source = KittiSource(raw_tree(tmp_path))
    frames = source.frames("train")
    assert source.splits() == ("train",)
    assert [frame.image_id for frame in frames] == [f"{DRIVE}_{number:010d}" for number in (0, 1, 2, 4)]
    assert values(frames[1]) == [1, 101, 2, 102] and frames[1].next_frame().image_id == frames[2].image_id
    assert frames[1].neighbour(-1).image_id == frames[0].image_id and frames[0].neighbour(-1) is None
    assert [frame.has() for frame in frames] == [FrameHas(True, number < 2, True) for number in range(4)]
    assert missing_for_stereo_video(frames[2]) == "no next frame in its sequence"  # 3 was never recorded


@pytest.mark.parametrize("below", ["", "2011_09_26", f"2011_09_26/{DRIVE}"])
def test_the_dates_one_date_or_one_drive_may_be_given(tmp_path, below):
    source = KittiSource(raw_tree(tmp_path) / below)
    assert source.frames("train")[0].image_id == f"{DRIVE}_0000000000" and values(source.frames("train")[0]) == [
        0,
        100,
        1,
        101,
    ]
    assert open_source(**source.describe()).frames("train") == source.frames("train")


def test_the_pairs_of_2015_are_two_splits_of_first_frames(tmp_path):
    source = KittiSource(tree_2015(tmp_path))
    assert source.splits() == ("train", "test")
    (frame,) = source.frames("test")
    assert frame.image_id == "000003_10" and values(frame) == [10, 110, 11, 111]
    assert frame.next_frame().image_id == "000003_11" and frame.next_frame().next_frame() is None
    assert frame.neighbour(-1) is None


def test_the_camera_is_the_projection_matrix_and_the_baseline_that_of_both(tmp_path):
    camera = KittiSource(tree_2015(tmp_path)).frames("train")[0].camera()
    assert camera.intrinsics.tolist() == [[40, 0, 30], [0, 41, 16], [0, 0, 1]]
    assert camera.baseline_m == pytest.approx(21 / 40) and camera.image_hw == (32, 64)


def test_missing_files_are_no_error_until_they_are_needed(tmp_path):
    root = tree_2015(tmp_path)
    (root / "training/image_3/000003_10.png").unlink()
    (root / "training/calib_cam_to_cam/000003.txt").unlink()
    frame = KittiSource(root).frames("train")[0]
    assert frame.has() == FrameHas(False, True, False)
    assert frame.second_eye() is frame.second_eye_digest() is frame.camera() is frame.camera_digest() is None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("S_rect_02: 6.4", "S_rect_02: 12.8", "is of images of 128x32, but the image is 64x32"),
        ("P_rect_03", "P_rect_3", "no 12 numbers after P_rect_03; give KITTI's calibration file"),
        ("P_rect_02: 4.0e+01", "P_rect_02: x", "no 12 numbers after P_rect_02"),
        ("P_rect_02: 4.0e+01", "P_rect_02: 0.0", "A camera's fx must be positive, but is 0"),
        ("-1.9e+01", "1.9e+01", "A camera's baseline_m must be positive, but is -0.425"),
        ("S_rect_02: 6.4", "S_rect_02: nan", "no 2 numbers after S_rect_02|is of images of"),
    ],
)
def test_calibrations_that_do_not_fit_name_their_file(tmp_path, old, new, message):
    path = tree_2015(tmp_path) / "training/calib_cam_to_cam/000003.txt"
    path.write_text(CALIBRATION.replace(old, new))
    with pytest.raises(InputError, match=rf"000003\.txt: .*({message})"):
        KittiSource(tmp_path).frames("train")[0].camera()


def test_what_is_no_kitti_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no KITTI images; looked for drives"):
        KittiSource(tmp_path)
    with pytest.raises(InputError, match="does not exist; give the folder of KITTI's dates"):
        KittiSource(tmp_path / "gone")
    raw_tree(tmp_path)
    with pytest.raises(InputError, match="No split 'test': .* has train"):
        KittiSource(tmp_path).frames("test")
    save(tmp_path / "copy" / DRIVE / "image_02/data/0000000000.png", PHOTO)
    with pytest.raises(InputError, match=f"{DRIVE}_0000000000: 2 images have this name"):
        KittiSource(tmp_path)


def test_labels_of_the_semantic_benchmark_are_the_truth(tmp_path):
    for name, labels, objects in (
        ("busy", streets.BUSY, streets.OBJECTS),
        ("quiet", streets.QUIET, 0 * streets.OBJECTS),
    ):
        save(tmp_path / f"training/image_2/{name}_10.png", PHOTO)
        save(tmp_path / f"training/semantic/{name}_10.png", labels)
        save(
            tmp_path / f"training/instance/{name}_10.png", (256 * labels.astype(np.uint16) + objects).astype(np.uint16)
        )
    source = open_source("kitti", data_dir=tmp_path)
    assert source.has_truth and [frame.image_id for frame in source.frames("train")] == ["busy_10", "quiet_10"]
    busy, quiet = (frame.truth() for frame in source.frames("train"))
    assert np.array_equal(busy.label_ids, streets.BUSY) and np.array_equal(busy.instance_ids, streets.BUSY_INSTANCES)
    assert np.array_equal(quiet.instance_ids, streets.QUIET)
    streets.check_missing(source, tmp_path / "training/instance/quiet_10.png")
    assert not KittiSource(tree_2015(tmp_path / "flow")).has_truth
