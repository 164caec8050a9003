from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbps_dataset.stages.instances.votecut import exact_kmeans_1d, vote
from tests.examples import examples
from tests.stages.instances.cuts import votecut
from tests.stages.instances.feature_scenes import feature_scene, semantic_of
from tests.stages.instances.scenes import THINGS


@examples(60)
@given(st.lists(st.floats(-5, 5), min_size=4, max_size=9), st.sampled_from([2, 3]))
def test_kmeans_is_the_best_of_all_partitions(numbers: list[float], groups: int) -> None:
    values = np.array(numbers)

    def spread(parts: list[np.ndarray]) -> float:
        return sum(((part - part.mean()) ** 2).sum() for part in parts)

    grouped = exact_kmeans_1d(values, groups)
    assert sorted(set(grouped)) == list(range(groups))
    ordered = np.sort(values)
    best = min(spread(np.split(ordered, cuts)) for cuts in combinations(range(1, len(values)), groups - 1))
    assert spread([values[grouped == group] for group in range(groups)]) <= best + 1e-9


def blocks(*columns: slice) -> list[np.ndarray]:
    masks = [np.zeros((6, 40), dtype=bool) for _ in columns]
    for mask, chosen in zip(masks, columns):
        mask[:, chosen] = True
    return masks


def test_candidates_that_resemble_each_other_become_one() -> None:
    candidates = blocks(slice(0, 10), slice(0, 12), slice(1, 11), slice(30, 40), slice(29, 40), slice(20, 22))
    found = vote(candidates, 0.4, 0.6)
    assert [members for _, members in found] == [3, 2, 1]
    np.testing.assert_array_equal(found[0][0], blocks(slice(0, 11))[0])
    np.testing.assert_array_equal(found[1][0], blocks(slice(29, 40))[0])


def test_the_pivot_moves_to_the_member_that_resembles_the_others_most() -> None:
    # The first has most partners (5), but the three equal ones among them are more alike, and bring the last one in.
    equal = slice(4, 24)
    candidates = blocks(slice(0, 20), equal, equal, equal, slice(0, 14), slice(0, 14), slice(6, 27))
    found = vote(candidates, 0.5, 0.6)
    assert [members for _, members in found] == [5, 2]
    np.testing.assert_array_equal(found[0][0], blocks(slice(4, 24))[0])


def test_nothing_to_vote_on() -> None:
    assert vote([], 0.2, 0.6) == []
    assert len(votecut(np.full((48, 48), 13, np.uint8), [], THINGS)) == 0
    assert len(votecut(np.full((48, 48), 13, np.uint8), [np.ones((6, 6, 4))], THINGS)) == 0


def test_networks_that_agree_find_the_object() -> None:
    networks = []
    for seed in range(4):
        numbers, features = feature_scene(seed, noise=0.3)
        features[numbers > 1] = features[0, 0]
        networks.append(features)
    semantic = semantic_of(np.where(numbers == 1, 1, 0))
    found = votecut(semantic, networks, THINGS)
    assert found.class_ids[0] == 13 and found.scores[0] == 1.0
    mask, truth = found.mask(0), semantic == 13
    assert (mask & truth).sum() / (mask | truth).sum() > 0.9
    assert len(found) <= 10 and (np.diff(found.scores) <= 0).all()


def test_grids_of_different_size_vote_together() -> None:
    numbers, features = feature_scene(1, noise=0.2)
    features[numbers > 1] = features[0, 0]
    networks = [features, features[::2, ::2]]
    found = votecut(semantic_of(np.where(numbers == 1, 1, 0)), networks, THINGS, max_masks=1)
    assert found.class_ids.tolist() == [13]


def test_names_bad_features() -> None:
    with pytest.raises(ValueError, match=r"patch features \(h, w, C\)"):
        votecut(np.zeros((8, 8), int), [np.ones((4, 4))], THINGS)
