"""Scenes that are rendered once."""

from __future__ import annotations

import numpy as np

from mbps_dataset.ablation.kept_scenes import KeptScenes
from mbps_dataset.sources import ScenesSource, open_source
from mbps_dataset.sources.stereo_video import stereo_video_digest


def test_kept_scenes_are_the_same_scenes_made_once():
    source = ScenesSource(train=0, validation=1, height=64, width=128)
    kept = KeptScenes(source)
    (plain,), (frame,) = source.frames("validation"), kept.frames("validation")
    assert kept.splits() == ("validation",) and kept.frames("validation")[0] is frame
    assert frame.image_id == plain.image_id and frame.digest() == plain.digest()
    assert frame.image_bytes() == plain.image_bytes() and kept.licence_allows_images()
    assert np.array_equal(frame.image(), plain.image()) and frame.image() is frame.image()
    assert np.array_equal(frame.truth().label_ids, plain.truth().label_ids) and frame.truth() is frame.truth()
    assert open_source(**kept.describe()).frames("validation")[0].digest() == frame.digest()
    assert frame.has() == plain.has() == (True, True, True) and frame.camera() == plain.camera()
    assert stereo_video_digest(frame) == stereo_video_digest(plain) and frame.next_frame() == plain.next_frame()
    assert np.array_equal(frame.second_eye(), plain.second_eye())
