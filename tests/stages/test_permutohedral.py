"""The lattice filter against its definition, a slow dictionary implementation, and true Gaussians."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mbps_dataset.errors import InputError
from mbps_dataset.stages.permutohedral import build_lattice
from tests.examples import examples


def reference_filter(features: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The same filter, one point at a time with a dictionary of vertices."""
    d, n = features.shape
    corners, weights = [], []
    for point in range(n):
        elevated = np.zeros(d + 1, np.float32)
        total = np.float32(0)
        for j in range(d, 0, -1):
            scaled = features[j - 1, point] * np.float32(np.sqrt(2 / 3) * (d + 1) / np.sqrt(j * (j + 1)))
            elevated[j] = total - np.float32(j) * scaled
            total += scaled
        elevated[0] = total
        nearest = (d + 1) * np.rint(elevated * np.float32(1 / (d + 1))).astype(int)
        rank = np.zeros(d + 1, int)
        for i in range(d + 1):
            for j in range(i + 1, d + 1):
                smaller = elevated[i] - nearest[i] < elevated[j] - nearest[j]
                rank[i if smaller else j] += 1
        rank += nearest.sum() // (d + 1)
        for i in range(d + 1):
            shift = (rank[i] < 0).astype(int) - (rank[i] > d).astype(int)
            rank[i] += shift * (d + 1)
            nearest[i] += shift * (d + 1)
        barycentric = np.zeros(d + 2)
        for i in range(d + 1):
            v = (elevated[i] - nearest[i]) / (d + 1)
            barycentric[d - rank[i]] += v
            barycentric[d - rank[i] + 1] -= v
        barycentric[0] += 1 + barycentric[d + 1]
        weights.append(barycentric[: d + 1])
        corners.append([tuple(nearest + np.where(rank <= d - r, r, r - d - 1)) for r in range(d + 1)])
    table = {}
    for own, weight, value in zip(corners, weights, values):
        for key, w in zip(own, weight):
            table[key] = table.get(key, 0) + w * value
    for axis in range(d + 1):
        step = np.full(d + 1, -1)
        step[axis] = d
        table = {
            key: value + 0.5 * sum(table.get(tuple(np.add(key, s * step)), 0) for s in (1, -1))
            for key, value in table.items()
        }
    alpha = 1 / (1 + 2.0**-d)
    return np.array([alpha * sum(w * table[key] for key, w in zip(c, ws)) for c, ws in zip(corners, weights)])


@examples(25)
@given(
    d=st.integers(1, 6), n=st.integers(1, 60), spread=st.sampled_from([0.0, 0.5, 3.0, 40.0]), seed=st.integers(0, 99)
)
def test_equals_the_dictionary_implementation(d, n, spread, seed):
    random = np.random.default_rng(seed)
    features = (random.normal(size=(d, n)) * spread).astype(np.float32)
    values = random.random((n, 3)).astype(np.float32)
    filtered = build_lattice(features).filter(torch.from_numpy(values))
    np.testing.assert_allclose(filtered.numpy(), reference_filter(features, values), rtol=2e-5, atol=2e-5)


@examples(15)
@given(seed=st.integers(0, 999))
def test_corner_weights_are_barycentric(seed):
    features = np.random.default_rng(seed).normal(size=(5, 200)).astype(np.float32) * 10
    weights = build_lattice(features).slice.weights.view(200, 6) * (1 + 2.0**-5)
    assert weights.min() >= -1e-5
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(200), atol=2e-5, rtol=0)


def test_ties_on_integer_grids_follow_the_rule():
    grid = np.stack(np.meshgrid(np.arange(7), np.arange(6))).reshape(2, -1).astype(np.float32)
    values = np.eye(42, dtype=np.float32)
    filtered = build_lattice(grid).filter(torch.from_numpy(values)).numpy()
    np.testing.assert_allclose(filtered, reference_filter(grid, values), atol=1e-6)


def test_approximates_a_gaussian_of_unit_width():
    # Far from the border and averaged over directions, the response of one point has the Gaussian's second moment.
    size = 41
    y, x = np.mgrid[:size, :size].astype(np.float32)
    impulse = torch.zeros(size * size, 1)
    centre = (size // 2) * size + size // 2
    impulse[centre] = 1
    response = build_lattice(np.stack([x.ravel(), y.ravel()]) / np.float32(4)).filter(impulse).reshape(size, size)
    variance = float(((torch.from_numpy(x) - size // 2) ** 2 * response).sum() / response.sum())
    assert variance == pytest.approx(16, rel=0.12)


def test_mass_is_the_response_to_ones():
    lattice = build_lattice(np.random.default_rng(0).random((3, 500)).astype(np.float32) * 4)
    torch.testing.assert_close(torch.from_numpy(lattice.mass()), lattice.filter(torch.ones(500, 1))[:, 0])


def test_reweighting_scales_what_goes_in_and_what_comes_out():
    random = np.random.default_rng(0)
    lattice = build_lattice(random.random((3, 500)).astype(np.float32) * 4)
    before, after = random.random((2, 500)).astype(np.float32)
    values = torch.from_numpy(random.random((500, 2)).astype(np.float32))
    expected = torch.from_numpy(after)[:, None] * lattice.filter(torch.from_numpy(before)[:, None] * values)
    torch.testing.assert_close(lattice.reweighted(before, after).filter(values), expected)


def test_cells_too_small_for_64_bit_names_are_refused():
    features = np.random.default_rng(0).normal(size=(5, 10)).astype(np.float32) * 1e5
    with pytest.raises(InputError, match="too many lattice cells"):
        build_lattice(features)
