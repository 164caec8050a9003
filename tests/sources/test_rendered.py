"""Rendered scenes as a source."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mbps_dataset.errors import InputError
from mbps_dataset.reading.image_files import decode_image
from mbps_dataset.scenes import BASELINE_M, SceneSettings, render, stereo_video_truth
from mbps_dataset.sources import ScenesSource, open_source
from mbps_dataset.sources.rendered import TRAINING_SEEDS, SceneFrame


SOURCE = ScenesSource(train=2, validation=1, height=64, width=128)


def test_splits_are_counted_and_share_no_scene_with_each_other_or_with_training() -> None:
    assert SOURCE.splits() == ("train", "validation")
    assert [frame.image_id for frame in SOURCE.frames("train")] == ["scene_2000000", "scene_2000001"]
    assert [frame.image_id for frame in SOURCE.frames("validation")] == ["scene_3000000"]
    assert not {frame.seed for split in SOURCE.splits() for frame in SOURCE.frames(split)} & set(TRAINING_SEEDS)
    assert ScenesSource(train=0, validation=1).splits() == ("validation",)
    with pytest.raises(InputError, match="No split 'train'; there is validation"):
        ScenesSource(train=0, validation=1).frames("train")


def test_the_file_the_picture_and_the_truth_are_of_one_scene() -> None:
    frame = SOURCE.frames("train")[0]
    image, truth = frame.image(), frame.truth()
    np.testing.assert_array_equal(decode_image(frame.image_bytes(), frame.image_id), image)
    assert image.shape == (64, 128, 3) and truth.label_ids.shape == truth.instance_ids.shape == (64, 128)
    assert truth.depth_m is not None and truth.depth_m.shape == (64, 128)
    assert not np.array_equal(image, SOURCE.frames("train")[1].image())


def test_the_digest_follows_the_scene_and_its_size() -> None:
    frame = SOURCE.frames("train")[0]
    again = open_source(**SOURCE.describe()).frames("train")[0]
    larger = SceneFrame(frame.image_id, frame.seed, SceneSettings(height=128, width=256))
    digests = {frame.digest(), replace(frame, seed=frame.seed + 1).digest(), larger.digest()}
    assert len(digests) == 3 and again.digest() == frame.digest()


def test_every_scene_is_a_stereo_video_of_three_moments() -> None:
    frame = SOURCE.frames("train")[0]
    before, after = frame.neighbour(-1), frame.next_frame()
    assert before is not None and after is not None and before.neighbour(-1) is after.next_frame() is None
    assert [frame.has(), after.has()] == [(True, True, True), (True, False, True)]
    assert before.next_frame() == frame and after.image_id == "scene_2000000_+1"
    for picture, time, right in ((after.image(), 1.0, False), (frame.second_eye(), 0.0, True),
                                 (before.second_eye(), -1.0, True)):  # fmt: skip
        np.testing.assert_array_equal(picture, render(frame.seed, frame.settings, time=time, right=right).image)
    digests = {f.digest() for f in (before, frame, after)} | {f.second_eye_digest() for f in (before, frame, after)}
    assert len(digests) == 6


def test_the_digest_of_a_plain_scene_is_the_one_it_always_had() -> None:
    assert SOURCE.frames("train")[0].digest() == "92b007f18f2401198ec70a741c1b6b1b310e4506144b615e7896ac77a6742b6f"


def test_the_camera_is_that_of_the_picture() -> None:
    frame = SOURCE.frames("train")[0]
    view, camera = render(frame.seed, frame.settings), frame.camera()
    np.testing.assert_array_equal(camera.intrinsics, view.intrinsics.matrix())
    assert camera.baseline_m == BASELINE_M and camera.image_hw == view.depth.shape
    larger = replace(frame, settings=SceneSettings(height=128, width=256))
    assert larger.camera_digest() != frame.camera_digest() == SOURCE.frames("train")[1].camera_digest()


def test_the_truth_says_what_moves() -> None:
    frame = SOURCE.frames("train")[0]
    moving, still = frame.truth().moving_ids, replace(frame, things_move=False)
    assert moving == stereo_video_truth(frame.scene()).moving_ids and moving
    assert still.truth().moving_ids == frozenset() and still.digest() != frame.digest()
    np.testing.assert_array_equal(still.image(), frame.image())
    assert not np.array_equal(still.next_frame().truth().instance_ids, frame.next_frame().truth().instance_ids)


def test_scenes_of_other_seeds_can_be_asked_for_and_are_opened_again() -> None:
    source = ScenesSource(1, 1, 64, 128, first_seed=500)
    assert [source.frames(split)[0].seed for split in source.splits()] == [500, 1_000_500]
    assert open_source(**source.describe()).frames("train") == source.frames("train")
    assert "first_seed" not in SOURCE.describe()
    with pytest.raises(InputError, match="first_seed is -1; give a whole number of at least 0"):
        ScenesSource(first_seed=-1)
