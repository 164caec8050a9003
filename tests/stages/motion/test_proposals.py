from __future__ import annotations

import numpy as np
import pytest

from mbps_dataset.stages.motion.draws import seeded_draws
from mbps_dataset.stages.motion.kabsch import align_rigidly
from mbps_dataset.stages.motion.proposals import pair_relations, propose_clusters
from tests.stages.motion.rigid_vectors import flat_points, load_parts, recorded_draws, unpacked


@pytest.mark.parametrize("stage", ["first", "later"])
def test_clusters_from_recorded_draws_are_those_of_the_vectors(stage):
    golden = load_parts("sf_proposals")
    points = flat_points(golden["points_t"]), flat_points(golden["points_t1"])
    count = len(points[0])
    explained = unpacked(golden["previous_hard_inliers"], 2, count).any(axis=0) & (stage == "later")
    open_points = (golden["reliable"].ravel() > 0) & ~explained
    found = propose_clusters(
        pair_relations(*points), open_points, recorded_draws(golden[f"{stage}/draws"]), reference=True
    )
    assert len(found) == int(golden[f"{stage}/n_clusters"])
    np.testing.assert_array_equal(found, unpacked(golden[f"{stage}/clusters"], *found.shape))
    for members, own, expected in zip(found, align_rigidly(*points, found), golden[f"{stage}/se3"]):
        if members.sum() >= 3:
            apart = points[0][members] @ (own - expected)[:3, :3].T + (own - expected)[:3, 3]
            assert np.abs(apart).max() < 2e-3


def two_bodies(count: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Two clouds of points in reach of each other, the second of which moves by half a metre."""
    points = np.random.default_rng(0).uniform(0, 1.5, (2 * count, 3)).astype(np.float32)
    moved = points.copy()
    moved[count:, 0] += 0.5
    return points, moved


def test_relations_are_near_within_five_metres_and_rigid_within_three_centimetres():
    points = np.float32([[0, 0, 0], [3, 4, 0], [3, 4, 0.1], [0, 0, 1]])
    moved = points + np.float32([[0, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0.04]])
    found = pair_relations(points, moved)
    assert found.near[0].tolist() == [True, True, False, True]
    assert found.rigid[0].tolist() == [True, True, True, False] and found.rigid.diagonal().all()
    np.testing.assert_array_equal(found.near, found.near.T)


def test_members_of_a_cluster_are_pairwise_near_and_rigid():
    points, moved = two_bodies()
    relations = pair_relations(points, moved)
    found = propose_clusters(relations, np.ones(40, dtype=bool), seeded_draws(0, 0), count=50)
    assert len(found) and found.sum(axis=1).max() == 5 and found.sum(axis=1).min() >= 3
    for members in found:
        assert relations.rigid[np.ix_(members, members)].all() and relations.near[np.ix_(members, members)].all()


def test_points_that_are_not_open_are_only_seeds_of_the_reference():
    points, moved = two_bodies()
    open_points = np.arange(40) < 20
    relations = pair_relations(points, moved)
    clean, published = (
        propose_clusters(relations, open_points, seeded_draws(0, 0), reference=reference)
        for reference in (False, True)
    )
    assert len(clean) and not clean[:, 20:].any()
    assert published[:, 20:].any() and published[:, 20:].sum(axis=1).max() == 1


def test_no_seed_asks_for_no_draw():
    points, moved = two_bodies(1)
    assert propose_clusters(pair_relations(points, moved), np.ones(2, dtype=bool), recorded_draws([])).shape == (0, 2)
