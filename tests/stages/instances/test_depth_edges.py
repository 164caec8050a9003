from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from mbps_dataset.stages.instances.depth_edges import clear_depth_edges, gradient_magnitude
from tests.examples import examples
from tests.stages.instances.golden import load
from tests.stages.instances.scenes import street


def scipy_magnitude(depth: np.ndarray, sigma: float) -> np.ndarray:
    smooth = depth.astype(np.float64)
    smooth = ndimage.gaussian_filter(smooth, sigma) if sigma > 0 else smooth
    return np.sqrt(ndimage.sobel(smooth, axis=0) ** 2 + ndimage.sobel(smooth, axis=1) ** 2)


@pytest.mark.parametrize("scene", ["s0", "s2"])
def test_reproduces_the_reference_gradient_by_vectors(scene: str) -> None:
    golden = load("depth_instances")
    magnitude = gradient_magnitude(golden[f"{scene}/depth"], 1.0)
    np.testing.assert_allclose(magnitude[::4, ::4], golden[f"{scene}/grad_mag_sub4"], rtol=0, atol=1e-12)
    expected = np.unpackbits(golden[f"{scene}/edges_tau0.10"], count=magnitude.size).reshape(magnitude.shape)
    np.testing.assert_array_equal(magnitude > 0.10, expected)


@examples(60)
@given(
    arrays.arrays(np.float32, st.tuples(st.integers(1, 60), st.integers(1, 12)), elements=st.floats(0, 1, width=32)),
    st.sampled_from([0.0, 0.1, 0.5, 1.0, 2.3]),
)
def test_equals_scipy_at_any_size(depth: np.ndarray, sigma: float) -> None:
    expected = scipy_magnitude(depth, sigma if sigma > 0.12 else 0.0)
    np.testing.assert_allclose(gradient_magnitude(depth, sigma), expected, rtol=0, atol=1e-12)


@examples(30)
@given(st.integers(0, 1000), st.sampled_from([0.0, 1.0]), st.data())
def test_a_window_holds_the_values_of_the_full_frame(seed: int, sigma: float, data: st.DataObject) -> None:
    _, depth = street(seed, 40, 50, objects=5)
    top, left = data.draw(st.integers(0, 39)), data.draw(st.integers(0, 49))
    window = slice(top, data.draw(st.integers(top + 1, 40))), slice(left, data.draw(st.integers(left + 1, 50)))
    np.testing.assert_array_equal(
        gradient_magnitude(depth, sigma, window), gradient_magnitude(depth, sigma)[window], strict=True
    )


@examples(20)
@given(st.integers(0, 1000), st.floats(0.05, 0.6))
def test_clearing_looks_at_every_wanted_pixel(seed: int, share: float) -> None:
    _, depth = street(seed, 60, 220, objects=12)
    random = np.random.default_rng(seed)
    keys = (ndimage.gaussian_filter(random.random((60, 220)), 6) < np.quantile(random.random(500), share)).astype(
        np.uint8
    )
    cleared = keys.copy()
    clear_depth_edges(cleared, depth, 0.1, 1.0)
    np.testing.assert_array_equal(cleared, np.where(gradient_magnitude(depth, 1.0) > 0.1, 0, keys))


def test_the_threshold_is_strict() -> None:
    depth = np.tile(np.arange(8) / 8, (8, 1))
    keys = np.ones((8, 8), np.uint8)
    clear_depth_edges(keys, depth, 1.0, 0.0)
    assert keys.all()
    clear_depth_edges(keys, depth, np.nextafter(1.0, 0.0), 0.0)
    assert keys.sum() == 2 * 8


def test_negative_sigma_is_refused() -> None:
    with pytest.raises(ValueError, match="`sigma` of at least 0 pixels, but got -1"):
        gradient_magnitude(np.zeros((4, 4)), -1)
