"""The script that made the demo's panoptic network."""

from __future__ import annotations

import numpy as np
import pytest

from builder_scripts import train_demo_panoptic
from builder_scripts.train_demo_panoptic import FIRST_SEED, with_true_motion
from mbps_dataset.models.networks import WEIGHTS_ROOT
from mbps_dataset.records import DecodedRow
from mbps_dataset.sources.rendered import TRAINING_SEEDS, ScenesSource


def test_training_scenes_are_of_the_seeds_for_training():
    frames = ScenesSource(400, 0, first_seed=FIRST_SEED).frames("train")
    assert {frame.seed for frame in frames} <= set(TRAINING_SEEDS)


def test_truth_may_not_reach_what_is_shipped(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["train", "--true-motion", "--output", str(WEIGHTS_ROOT / "panoptic")])
    with pytest.raises(SystemExit):
        train_demo_panoptic.main()
    assert "--true-motion uses labels and is never shipped" in capsys.readouterr().err


def test_true_motion_takes_the_place_of_estimated_things_and_leaves_classes():
    frame = next(
        frame for frame in ScenesSource(8, 0, 128, 256, FIRST_SEED).frames("train") if frame.truth().moving_ids
    )
    truth = frame.truth()
    semantic = np.full(truth.instance_ids.shape, 3)
    moving = sorted(truth.moving_ids)
    semantic[truth.instance_ids == moving[0]] = 7
    guessed = np.zeros_like(semantic)
    guessed[:8, :8] = 1  # an estimated thing where nothing moves
    row = DecodedRow(
        image_id=frame.image_id, image=frame.image(), semantic=semantic.astype(np.uint8),
        instance=guessed.astype(np.uint16), depth=np.zeros(semantic.shape, np.float32), panoptic=guessed, segments=(),
    )  # fmt: skip
    sample = with_true_motion(row, frame, things=(5, 7))
    assert len(np.unique(sample.instance.numpy())) == 1 + len(moving)
    assert sample.class_ids[0] == 7
    assert (sample.semantic.numpy()[:8, :8] == 255).all()
    still = (truth.instance_ids < 1000) & (guessed == 0)
    assert (sample.semantic.numpy()[still] == 3).all()
