"""What the measurement of the demo's network counts."""

from __future__ import annotations

import numpy as np
import pytest

from builder_scripts.measure_demo_panoptic import FIRST_SEED, LEAST_PX, Found, best_overlaps, measured
from mbps_dataset import taxonomy
from mbps_dataset.metrics import PanopticQuality
from mbps_dataset.scenes.vehicles import CAR
from mbps_dataset.sources.rendered import TRAINING_SEEDS, ScenesSource


def test_overlaps_are_of_the_best_prediction_and_false_ones_meet_nothing():
    true = np.zeros((4, 12), dtype=np.int64)
    true[:, :4], true[:, 8:] = 26001, 26002
    found = np.zeros_like(true)
    found[:, 1:4], found[:2, 8:11], found[2:, 8:11], found[:, 5:7] = 1, 2, 3, 4
    best, false = best_overlaps(found, true)
    assert best == {26001: pytest.approx(0.75), 26002: pytest.approx(6 / 16)}
    assert false == 3


def test_true_things_are_all_found_and_nothing_is_false():
    source = ScenesSource(0, 3, 128, 256, FIRST_SEED)
    frames = source.frames("validation")
    labels = []
    for frame in frames:
        truth = frame.truth()
        instance = np.where(truth.instance_ids >= 1000, truth.instance_ids, 0)
        labels.append((taxonomy.LABEL_ID_TO_TRAIN_ID[truth.label_ids], instance))
    found = measured(labels, frames, 19, taxonomy.THINGS_19, "truth")
    large = sum(
        np.count_nonzero(frame.truth().instance_ids == number) >= LEAST_PX
        for frame in frames
        for number in np.unique(frame.truth().instance_ids)
        if number // 1000 == CAR
    )
    assert found.moving + found.standing == [True] * large and large > 0
    assert found.false_things == [0, 0, 0] and found.quality.compute().pq == pytest.approx(1)


def test_scenes_are_ones_that_nothing_was_trained_on():
    frames = ScenesSource(0, 60, first_seed=FIRST_SEED).frames("validation")
    assert frames[0].seed >= 9_000_000 and not {frame.seed for frame in frames} & set(TRAINING_SEEDS)


def test_a_row_says_shares_and_means():
    found = Found(PanopticQuality([0], [1]), [True, False], [True], [2, 3])
    found.quality.update(*(np.full((2, 2), value) for value in (0, 1, 0, 1)))
    assert found.row("network") == "| network | 2 of 3 (67%) | 1 of 1 (100%) | 2.5 | 100.0 / 100.0 / nan |"
