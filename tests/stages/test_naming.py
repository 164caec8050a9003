from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbps_dataset.errors import CalibrationError
from mbps_dataset.stages.naming import (
    hungarian_assignment,
    majority_assignment,
    name_by_hungarian,
    name_by_majority,
)
from mbps_dataset.taxonomy import CLASSES_27
from tests.examples import examples


@examples(30)
@given(st.lists(st.lists(st.integers(0, 50), min_size=4, max_size=4), min_size=4, max_size=4))
def test_hungarian_finds_the_largest_overlap(rows: list[list[int]]) -> None:
    counts = np.array(rows)
    classes = hungarian_assignment(counts)
    best = max(sum(counts[i, order[i]] for i in range(4)) for order in permutations(range(4)))
    assert sorted(classes) == [0, 1, 2, 3]
    assert counts[np.arange(4), classes].sum() == best


def test_hungarian_is_not_greedy() -> None:
    assert hungarian_assignment(np.array([[10, 9], [9, 0]])).tolist() == [1, 0]


def test_counts_beyond_float32_decide() -> None:
    counts = np.array([[2**25, 2**25 + 1], [2**25, 2**25]])
    assert hungarian_assignment(counts).tolist() == [1, 0]


def test_clusters_left_over_become_void() -> None:
    assert hungarian_assignment(np.array([[1, 0], [5, 0], [0, 4]])).tolist() == [255, 0, 1]


def test_27_clusters_get_train_ids() -> None:
    order = np.random.default_rng(0).permutation(27)
    counts = np.ones((27, 27), dtype=np.int64)
    counts[np.arange(27), order] = 1000
    naming = name_by_hungarian(counts)
    by_name = {CLASSES_27[class_id].name: naming[cluster] for cluster, class_id in enumerate(order)}
    assert (by_name["road"], by_name["car"], by_name["bicycle"]) == (0, 13, 18)
    assert (by_name["polegroup"], by_name["caravan"], by_name["trailer"]) == (5, 13, 14)
    void = {"parking", "rail track", "guard rail", "bridge", "tunnel"}
    assert {name for name, train_id in by_name.items() if train_id == 255} == void


def test_majority_shares_names_and_leaves_unseen_clusters_void() -> None:
    counts = np.array([[1, 5, 5], [0, 0, 9], [0, 0, 0], [3, 2, 1]])
    assert majority_assignment(counts).tolist() == [1, 2, 255, 0]
    assert name_by_majority(counts) == (1, 2, 255, 0)


def test_bad_input() -> None:
    with pytest.raises(CalibrationError, match=r"27 clusters by 27 classes, but got \(80, 19\); name over-clusters"):
        name_by_hungarian(np.zeros((80, 19), dtype=np.int64))
    with pytest.raises(CalibrationError, match="whole numbers of at least 0"):
        majority_assignment(np.zeros((3, 3)))
    with pytest.raises(CalibrationError, match="whole numbers of at least 0"):
        hungarian_assignment(np.array([[1, -1]]))
