from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbps_dataset.stages.instances.normalised_cut import affinity, feature_grid, foreground, second_eigenvector
from tests.examples import examples
from tests.stages.instances.feature_scenes import feature_scene


def test_affinity_is_one_or_almost_nothing() -> None:
    features = np.array([[1.0, 0.0], [2.0, 0.1], [0.0, 1.0], [0.0, 0.0]])
    assert affinity(features, 0.2).tolist() == [
        [1.0, 1.0, 1e-5, 1e-5],
        [1.0, 1.0, 1e-5, 1e-5],
        [1e-5, 1e-5, 1.0, 1e-5],
        [1e-5, 1e-5, 1e-5, 1e-5],
    ]


@examples(10)
@given(st.integers(0, 1000), st.floats(0.1, 1.5))
def test_lanczos_gives_the_dense_solvers_cut(seed: int, noise: float) -> None:
    _, features = feature_scene(seed, noise)
    weights = affinity(features[::2, ::2].reshape(-1, 16), 0.15)
    fast, slow = second_eigenvector(weights, "lanczos"), second_eigenvector(weights, "dense")
    fast, slow = fast / np.linalg.norm(fast), slow / np.linalg.norm(slow)
    np.testing.assert_allclose(fast, slow, atol=1e-6)
    np.testing.assert_array_equal(foreground(fast, 15, 15), foreground(slow, 15, 15))


def test_it_is_the_second_eigenvector() -> None:
    _, features = feature_scene(0)
    weights = affinity(features.reshape(-1, 16), 0.15)
    vector, degrees = second_eigenvector(weights), weights.sum(axis=1)
    product = degrees * vector - weights @ vector
    rayleigh = vector @ product / (vector @ (degrees * vector))
    np.testing.assert_allclose(product, rayleigh * degrees * vector, atol=1e-6 * np.abs(degrees * vector).max())
    assert abs(vector @ degrees) < 1e-6 * np.abs(vector).sum() * degrees.max()
    assert vector[np.argmax(np.abs(vector))] > 0


@pytest.mark.parametrize("solver", ["lanczos", "dense"])
def test_patches_that_are_all_alike_are_not_cut(solver: str) -> None:
    assert second_eigenvector(affinity(np.ones((20, 4)), 0.2), solver) is None
    assert second_eigenvector(affinity(np.zeros((20, 4)), 0.2), solver) is None


def test_the_side_with_the_corners_is_background() -> None:
    vector = np.full((6, 7), 0.2)
    vector[2:4, 2:5] = -0.9
    vector[0, 0] = 1.0
    expected = np.zeros((6, 7), dtype=bool)
    expected[2:4, 2:5] = True
    np.testing.assert_array_equal(foreground(vector.ravel(), 6, 7), expected)
    np.testing.assert_array_equal(foreground(vector.ravel(), 6, 7, corner_rule=False), ~expected)


def test_only_the_part_around_the_seed_is_kept() -> None:
    vector = np.full((6, 7), -0.2)
    vector[1, 1] = 0.8
    vector[3:5, 3:5] = 0.5
    assert foreground(vector.ravel(), 6, 7).sum() == 1


def test_says_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="at least 3 patches to cut, but got 2"):
        second_eigenvector(np.ones((2, 2)))
    with pytest.raises(ValueError, match="Unknown solver 'qr'; choose lanczos or dense"):
        second_eigenvector(np.ones((4, 4)), "qr")
    with pytest.raises(ValueError, match=r"patch features \(h, w, C\), but got shape \(4, 5\)"):
        feature_grid(np.zeros((4, 5)))
    with pytest.raises(ValueError, match="features to be finite"):
        feature_grid(np.full((4, 5, 2), np.nan))
