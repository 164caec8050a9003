from __future__ import annotations

import numpy as np
import pytest

from mbps_dataset.stages.motion.moving_regions import moving_regions


KEPT = np.ones(3, dtype=bool)


def diagonal_squares() -> np.ndarray:
    labels = np.zeros((8, 8), dtype=np.int64)
    labels[:4, :4] = labels[4:, 4:] = 1
    return labels


def test_corners_connect_with_eight_neighbours_only():
    labels, log = diagonal_squares(), np.zeros((2, 8, 8), dtype=np.float32)
    assert len(moving_regions(labels, log, KEPT[:2], least_px=1)[0]) == 1
    assert len(moving_regions(labels, log, KEPT[:2], least_px=1, connectivity=4)[0]) == 2
    with pytest.raises(ValueError, match="`connectivity` 4 or 8, but got 6"):
        moving_regions(labels, log, KEPT[:2], connectivity=6)


def test_small_regions_go_and_one_of_the_least_size_stays():
    labels = diagonal_squares()
    labels[4:, 4] = 0
    log = np.zeros((2, 8, 8), dtype=np.float32)
    masks, scores = moving_regions(labels, log, KEPT[:2], least_px=16, connectivity=4)
    assert masks.sum(axis=(1, 2)).tolist() == [16] and scores.tolist() == [0.5]
    masks, _ = moving_regions(labels, log, KEPT[:2], least_px=17, connectivity=4)
    assert masks.shape == (0, 8, 8)


def test_the_score_is_the_mean_softmax_over_all_objects_also_those_left_out():
    labels = np.zeros((2, 4), dtype=np.int64)
    labels[0], labels[1] = 1, 2
    log = np.zeros((3, 2, 4), dtype=np.float32)
    log[1, 0, :2] = np.log(8)
    masks, scores = moving_regions(labels, log, np.array([True, True, False]), least_px=1)
    assert masks.tolist() == [(labels == 1).tolist()]
    np.testing.assert_allclose(scores, [(0.8 + 1 / 3) / 2], rtol=1e-6)


def test_without_a_background_pixel_the_reference_loses_its_first_object():
    labels = np.repeat([[1, 2]], 3, axis=0)
    log = np.zeros((3, 3, 2), dtype=np.float32)
    assert len(moving_regions(labels, log, KEPT, least_px=1)[0]) == 2
    masks, _ = moving_regions(labels, log, KEPT, least_px=1, reference=True)
    assert masks.tolist() == [(labels == 2).tolist()]
