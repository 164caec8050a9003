from __future__ import annotations

import numpy as np
import pytest

from mbps_dataset.stages.motion.split import neighbours, split_spatially
from tests.stages.motion.rigid_vectors import flat_points, load_parts, unpacked


def as_set(components) -> set[bytes]:
    return {np.asarray(component, dtype=bool).tobytes() for component in components}


@pytest.mark.parametrize("stage", ["first", "later"])
def test_components_are_those_of_the_vectors(stage):
    golden = load_parts("sf_split")
    points, soft = flat_points(golden["points_t"]), golden["soft"].reshape(3, -1)
    explained = (golden["previous_hard"].reshape(2, -1) > 0).any(axis=0) & (stage == "later")
    of = golden[f"{stage}/components_of"]
    expected = unpacked(golden[f"{stage}/components"], len(of), len(points))
    near = neighbours(points, reference=True)
    for number, inliers in enumerate(soft):
        found = split_spatially(inliers, near, golden["reliable"].ravel() > 0, explained, reference=True)
        assert len(found) == (of == number).sum()
        assert as_set(found) == as_set(expected[of == number])


def row_of_points(*columns: float) -> np.ndarray:
    """Points at z = 10 with X = 0.05 · column."""
    return np.array([[0.5 * column, 0, 10] for column in columns], dtype=np.float32)


def test_points_within_two_sigma_are_near():
    found = neighbours(row_of_points(0, 1.9, 4, 4.5))
    assert list(zip(found.first.tolist(), found.second.tolist())) == [(0, 1), (2, 3)]
    assert found.nearness[0] == pytest.approx(0.0574, abs=1e-4)


def test_only_inliers_link_unless_as_published():
    near, everywhere = neighbours(row_of_points(0, 1.5, 3)), np.ones(3, dtype=bool)
    soft = np.float32([1, 0, 1])
    assert split_spatially(soft, near, everywhere, ~everywhere).tolist() == [
        [True, False, False],
        [False, False, True],
    ]
    # The middle point is later than the first and earlier than the last, and only the earlier one's inlier counts.
    published = neighbours(row_of_points(0, 3, 1.5), reference=True)
    found = split_spatially(np.float32([1, 1, 0]), published, everywhere, ~everywhere, reference=True)
    assert found.tolist() == [[True, True, False]]


def test_explained_and_unreliable_points_are_in_no_component():
    near, everywhere = neighbours(row_of_points(0, 1, 2, 3)), np.ones(4, dtype=bool)
    soft = np.ones(4, dtype=np.float32)
    explained, reliable = np.array([False, True, False, False]), np.array([True, True, True, False])
    assert split_spatially(soft, near, reliable, explained).tolist() == [[True, False, True, False]]
    alone = np.float32([0, 0, 0, 1])
    assert not len(split_spatially(alone, near, reliable, ~everywhere))
    assert split_spatially(alone, near, reliable, ~everywhere, reference=True).tolist() == [[False] * 4]
