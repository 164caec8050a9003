"""Reasons why a stereo video cannot be used, on rendered pairs with one fault each."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy.ndimage import rotate, shift

from mbps_dataset.sources import ScenesSource
from mbps_dataset.sources.stereo_checks import (
    tile_shifts,
    why_blank,
    why_not_a_pair,
    why_not_consecutive,
    why_unusable,
)
from mbps_dataset.sources.stereo_video import StereoVideo, read_stereo_video


FRAMES = ScenesSource(train=0, validation=6, height=192, width=384).frames("validation")


@cache
def video(number: int = 0) -> StereoVideo:
    return read_stereo_video(FRAMES[number])


@pytest.mark.parametrize("number", range(len(FRAMES)))
def test_stereo_video_without_a_fault_has_no_reason(number):
    assert why_unusable(video(number)) is None


def test_swapped_eyes_are_told():
    reason = why_not_a_pair(video().right, video().left)
    assert reason is not None and reason.startswith("left and right are swapped (disparity is negative, -")
    swapped = StereoVideo(video().right, video().left, video().next_right, video().next_left, video().camera)
    assert why_unusable(swapped) == reason


@pytest.mark.parametrize("down", [-5.0, -1.0, 1.0, 2.5, 12.0])
def test_the_vertical_offset_of_an_unrectified_pair_is_stated(down):
    lowered = shift(video(1).right, (down, 0, 0), order=1, mode="nearest")
    reason = why_not_a_pair(video(1).left, lowered)
    assert reason is not None and reason.startswith("both eyes are not rectified: vertical offset ")
    assert float(reason.split("offset ")[1].split(" px")[0]) == pytest.approx(down, abs=0.35 + 0.03 * abs(down))


def test_a_rolled_eye_is_not_rectified_either():
    rolled = rotate(video().right, 1.0, reshape=False, order=1, mode="nearest")
    reason = why_not_a_pair(video().left, rolled)
    assert reason is not None and "not rectified: vertical offset" in reason


def test_eyes_of_two_scenes_and_one_image_twice_are_told():
    reason = why_not_a_pair(video(0).left, video(1).right, moment=" at the next frame")
    assert reason is not None and reason.startswith("both eyes do not show the same at the next frame (correlation ")
    assert why_not_a_pair(video().left, video().left) == "both eyes have the same image; give the right camera's"


def test_a_cut_and_a_frame_shown_twice_are_told():
    reason = why_not_consecutive(video(0).left, video(2).next_left)
    assert reason is not None and "the scene was cut, or frames are missing" in reason
    again = why_not_consecutive(video().left, video().left)
    assert again == "the next frame is the same picture again; give frames of different moments"
    assert why_unusable(replace(video(), next_left=video(2).left, next_right=video(2).right)) is not None


def test_time_that_runs_backwards_cannot_be_told():
    back = StereoVideo(video().next_left, video().next_right, video().left, video().right, video().camera)
    assert why_unusable(back) is None


def test_black_and_plain_images_are_told_with_which_it_is():
    black = np.zeros_like(video().left)
    assert why_blank(black) == "is black (99 % of its pixels are darker than 16 of 255)"
    assert why_blank(black + np.uint8(90)) == "is all of one colour (standard deviation 0.0 of 255)"
    noise = np.random.default_rng(0).integers(0, 6, video().left.shape, dtype=np.uint8)
    assert why_unusable(replace(video(), next_right=noise)) == f"the next frame's right eye {why_blank(noise)}"
    assert why_blank((video().left * 0.2).astype(np.uint8)) is None  # a dark street is no black frame


def test_shifts_of_a_picture_moved_as_a_whole_are_exact():
    wide = np.repeat(np.random.default_rng(1).integers(0, 255, (160, 400), dtype=np.uint8)[..., None], 3, axis=2)
    shifts = tile_shifts(wide[10:150, 20:380], wide[6:146, 27:387])
    np.testing.assert_allclose(np.median(shifts.down), 4, atol=0.2)
    assert np.median(shifts.right) == -7 and shifts.peak.min() > 7


def test_nothing_is_said_of_small_or_empty_pictures():
    assert tile_shifts(video().left[:100], video().right[:100]) is None
    plain = np.full_like(video().left, 100)
    assert tile_shifts(plain, plain) is None and why_not_a_pair(plain, plain + np.uint8(1)) is None
