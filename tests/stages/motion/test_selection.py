from __future__ import annotations

import numpy as np
import pytest

from mbps_dataset.stages.motion.selection import select_motions, soft_iou
from tests.stages.motion.rigid_vectors import load_parts


ALL = np.ones(6, dtype=bool)


@pytest.mark.parametrize("case", [f"c{number}" for number in range(6)])
def test_choices_gains_and_overlaps_are_those_of_the_vectors(case):
    golden = load_parts("sf_selection")
    soft, previous = golden[f"{case}/soft"], golden.get(f"{case}/previous_soft")
    found = select_motions(
        soft.reshape(len(soft), -1),
        golden[f"{case}/reliable"].ravel() > 0,
        max_count=int(golden[f"{case}/max_count"]),
        previous=None if previous is None else previous.reshape(len(previous), -1),
    )
    assert found.indices == tuple(golden[f"{case}/selected"].tolist())
    np.testing.assert_allclose(found.gains, golden[f"{case}/gains"], rtol=0, atol=1e-5)
    if previous is not None:
        np.testing.assert_allclose(found.overlap, golden[f"{case}/overlap"], rtol=0, atol=1e-5)


def test_the_first_of_equal_ones_is_taken_and_its_twin_gains_nothing():
    soft = np.float32([[1, 0, 0, 0, 0, 0], [0, 1, 1, 0, 0, 0], [0, 1, 1, 0, 0, 0]])
    found = select_motions(soft, ALL, max_count=3)
    assert found.indices == (1, 0)
    np.testing.assert_allclose(found.gains, np.array([[1, 2, 2], [1, 0, 0], [0, 0, 0]]) / 6)


def test_what_repeats_an_earlier_object_is_out_before_the_first_choice():
    soft = np.float32([[1, 1, 1, 0, 0, 0], [0, 0, 0, 0, 1, 1]])
    earlier = np.float32([[1, 0, 0, 0, 0, 0]])
    assert select_motions(soft, ALL, max_count=2, previous=earlier).indices == (1,)
    assert select_motions(soft, ALL, max_count=2, previous=earlier, largest_overlap=0.5).indices == (0, 1)


def test_only_reliable_points_count():
    soft = np.float32([[1, 1, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0]])
    found = select_motions(soft, np.array([False, False, True, True, True, True]), max_count=2)
    assert found.indices == (1,) and found.gains[0, 1] == pytest.approx(0.25)


def test_nothing_to_choose_from_is_no_choice():
    assert select_motions(np.zeros((0, 6), dtype=np.float32), ALL, max_count=1).indices == ()
    assert select_motions(np.ones((1, 6), dtype=np.float32), ~ALL, max_count=1).indices == ()


def test_soft_iou_of_masks_is_their_iou():
    first, second = np.float32([[1, 1, 1, 0]]), np.float32([[0, 1, 1, 1], [0, 0, 0, 0]])
    np.testing.assert_allclose(soft_iou(first, second), [[0.5, 0]], atol=1e-6)
