"""Stereo video of a frame, what is missing for it, and its digest; on a plain folder and on rendered scenes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mbps_dataset.errors import InputError
from mbps_dataset.sources import FolderSource, ScenesSource, StereoFolderSource
from mbps_dataset.sources.frame import Frame
from mbps_dataset.sources.stereo_video import (
    missing_for_stereo_video,
    read_stereo_video,
    require_stereo_video,
    stereo_video_digest,
)
from tests.sources.trees import PHOTO, save


CALIBRATION = {"fx": 40.0, "fy": 40.0, "cx": 31.5, "cy": 15.5, "baseline": 0.2}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for side, base in (("left", 0), ("right", 100)):
        for number in range(3):
            save(tmp_path / side / f"{number}.png", PHOTO + np.uint8(base + number))
    (tmp_path / "calibration.json").write_text(json.dumps(CALIBRATION))
    return tmp_path


def first(folder: Path) -> Frame:
    return StereoFolderSource(folder).frames("train")[0]


def test_both_eyes_now_and_later_with_the_camera(folder):
    video = read_stereo_video(first(folder))
    values = [image[0, 0, 0] for image in (video.left, video.right, video.next_left, video.next_right)]
    assert values == [0, 100, 1, 101] and video.camera.intrinsics[0, 2] == 31.5 and video.camera.image_hw == (32, 64)
    rendered = read_stereo_video(ScenesSource(train=1, validation=0, height=64, width=128).frames("train")[0])
    assert rendered.next_right.shape == (64, 128, 3)


@pytest.mark.parametrize(
    ("gone", "reason"),
    [
        ("right/0.png", "no image of the right eye"),
        ("left/1.png", "no next frame in its sequence"),
        ("right/1.png", "no image of the right eye at the next frame"),
        ("calibration.json", "no camera file"),
    ],
)
def test_what_is_missing_is_said_before_and_when_it_is_read(folder, gone, reason):
    assert missing_for_stereo_video(first(folder)) is None
    (folder / gone).unlink()
    if gone == "left/1.png":
        (folder / "left/2.png").unlink()
    assert missing_for_stereo_video(first(folder)) == reason
    with pytest.raises(InputError, match=f"^0: {reason}, which labels from motion need"):
        read_stereo_video(first(folder))


def test_a_source_without_stereo_video_is_refused_with_counts(folder, tmp_path):
    require_stereo_video(StereoFolderSource(folder))
    require_stereo_video(ScenesSource(train=1, validation=1, height=64, width=128), ("validation",))
    (folder / "calibration.json").unlink()
    with pytest.raises(InputError) as caught:
        require_stereo_video(StereoFolderSource(folder))
    assert str(caught.value).startswith(
        "The source 'stereo' has no stereo video in 'train': no camera file (2 of 3), no next frame in its sequence (1 of 3)."
    )
    with pytest.raises(InputError, match=r"no image of the right eye \(6 of 6\)"):
        require_stereo_video(FolderSource(folder))


@pytest.mark.parametrize(
    ("which", "message"),
    [("right/0", "0: 64x32, but its right eye is 70x32"), ("left/1", "0: 64x32, but its next frame is 70x32"),
     ("right/1", "0: 64x32, but its next frame's right eye is 70x32")],
)  # fmt: skip
def test_images_of_another_size_are_named(folder, which, message):
    save(folder / f"{which}.png", np.zeros((32, 70, 3), np.uint8))
    with pytest.raises(InputError, match=message):
        read_stereo_video(first(folder))


def test_the_digest_follows_every_file_that_is_read(folder):
    digests = {stereo_video_digest(first(folder))}
    assert stereo_video_digest(first(folder)) in digests
    for name in ("left/0", "right/0", "left/1", "right/1"):
        save(folder / f"{name}.png", PHOTO + np.uint8(7))
        digests.add(stereo_video_digest(first(folder)))
    (folder / "calibration.json").write_text(json.dumps({**CALIBRATION, "baseline": 0.3}))
    digests.add(stereo_video_digest(first(folder)))
    (folder / "right/1.png").unlink()
    digests.add(stereo_video_digest(first(folder)))
    assert len(digests) == 7
    save(folder / "left/2.png", PHOTO + np.uint8(9))
    assert stereo_video_digest(first(folder)) in digests
