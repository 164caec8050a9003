"""Rendered scenes as a source."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mbps_dataset.errors import InputError
from mbps_dataset.reading.image_files import decode_image
from mbps_dataset.scenes import SceneSettings
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
