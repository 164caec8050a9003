from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbps_dataset.stages.motion.noise import (
    LARGEST_DEVIATION_PX,
    disparity_noise,
    estimate_noise,
    flow_noise,
    truncation_ratio,
)
from tests.examples import examples
from tests.vectors import load_vectors


@pytest.fixture(scope="module")
def golden():
    return load_vectors("cups/noise_model")


def test_the_correction_is_that_of_the_reference_vectors(golden):
    ratio = truncation_ratio(golden["sigma_trunc"], float(golden["delta"]))
    np.testing.assert_allclose(ratio, golden["sigma_rel"], atol=1e-6)
    np.testing.assert_allclose(golden["sigma_trunc"] / ratio, golden["sigma_corrected"], rtol=1e-5)


def test_deviations_are_those_of_the_reference_vectors(golden):
    cases = {name.split("/")[0] for name in golden if "/" in name}
    assert len(cases) >= 2
    for case in cases:
        deviation = golden[f"{case}/dev"][0]
        size = deviation[0].size
        usable = np.unpackbits(golden[f"{case}/valid"])[:size].reshape(deviation.shape[1:]).astype(bool)
        np.testing.assert_allclose(estimate_noise(deviation, usable).sigma, golden[f"{case}/sigma_used"], rtol=1e-3)
        raw = estimate_noise(deviation, usable, corrected=False).sigma * np.sqrt(2)
        np.testing.assert_allclose(raw, golden[f"{case}/std_no_correction"][0], rtol=1e-3)


def test_a_cut_gaussian_gets_its_deviation_back():
    draws = np.random.default_rng(0).normal(0, 7.0, (1, 400, 500))
    cut = draws[np.abs(draws) < LARGEST_DEVIATION_PX].std()
    estimate = estimate_noise(draws, np.ones((400, 500), dtype=bool))
    assert cut < 6.2 and estimate.reason is None
    assert estimate.sigma[0] * np.sqrt(2) == pytest.approx(7.0, rel=0.03)


@examples(30)
@given(st.floats(0, 30), st.integers(1, 2))
def test_the_estimate_stays_in_its_limits(scale, channels):
    draws = np.random.default_rng(1).normal(0, scale, (channels, 20, 30))
    sigma = estimate_noise(draws, np.ones((20, 30), dtype=bool)).sigma
    assert sigma.shape == (channels,) and (sigma >= 2 - 1e-9).all() and (sigma <= 10 + 1e-9).all()


def test_too_few_pixels_are_a_reason():
    usable = np.zeros((10, 10), dtype=bool)
    usable[0, :9] = True
    estimate = estimate_noise(np.full((2, 10, 10), 5.0), usable)
    np.testing.assert_allclose(estimate.sigma, [2, 2])
    assert estimate.reason is not None and estimate.reason.startswith("only 9.0% of the pixels could be compared")
    usable[1, 0] = True
    assert estimate_noise(np.full((2, 10, 10), 5.0), usable).reason is None


def test_what_is_not_finite_is_not_counted():
    deviation = np.full((1, 10, 10), 3.5)
    deviation[0, :3] = np.nan
    deviation[0, 3] = np.inf
    estimate = estimate_noise(deviation, np.ones((10, 10), dtype=bool))
    assert estimate.reason is None and estimate.sigma[0] == pytest.approx(3.5 / np.sqrt(2), rel=1e-6)


def test_noise_of_flow_and_disparity_is_what_was_added():
    rng = np.random.default_rng(2)
    forward = np.zeros((2, 80, 120), dtype=np.float32)
    backward = rng.normal(0, [[[4.0]], [[5.0]]], (2, 80, 120)).astype(np.float32)
    for reference in (False, True):
        sigma = flow_noise(forward, backward, reference=reference).sigma
        assert sigma[1] > sigma[0] and (sigma < np.array([4.2, 5.2]) / np.sqrt(2)).all()
    np.testing.assert_allclose(flow_noise(forward, backward).sigma, np.array([4, 5]) / np.sqrt(2), rtol=0.03)
    left = np.full((60, 90), 6.0)
    assert disparity_noise(left, left).sigma.tolist() == pytest.approx([2.0])
    np.testing.assert_allclose(disparity_noise(left, left - 4).sigma, [4 / np.sqrt(2)], rtol=1e-5)
    assert disparity_noise(left, left + 90).reason is not None


def test_wrong_shapes_are_named():
    with pytest.raises(ValueError, match=r"`deviation` \(C, H, W\) and `usable` \(H, W\) of one size"):
        estimate_noise(np.zeros((1, 4, 5)), np.zeros((4, 6), dtype=bool))
