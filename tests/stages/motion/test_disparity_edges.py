from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbps_dataset.stages.motion.disparity_edges import disparity_edges, edge_magnitude, near_disparity_edges
from tests.examples import examples
from tests.stages.motion.scenes import recorded_motion
from tests.vectors import load_vectors


@pytest.fixture(scope="module")
def golden():
    return load_vectors("cups/depth_sceneflow")


@pytest.mark.parametrize("time", ["t", "t1"])
def test_edges_are_those_of_the_reference_vectors(golden, time):
    motion = recorded_motion(golden)
    disparity = getattr(motion, f"disparity_{time}")
    expected = golden[f"canny_magnitude_{time}_sub2"]
    magnitude = edge_magnitude(disparity, reference=True)[::2, ::2]
    np.testing.assert_array_less(np.abs(magnitude - expected), 1e-4 * (1 + np.abs(expected)))
    np.testing.assert_array_equal(disparity_edges(disparity, reference=True), golden[f"edge_pixels_{time}"])
    np.testing.assert_array_equal(~near_disparity_edges(disparity, reference=True), golden[f"not_edge_{time}"])


def test_without_the_frame_of_the_reference_vectors_the_rest_is_the_same(golden):
    disparity = recorded_motion(golden).disparity_t
    clean, framed = near_disparity_edges(disparity), near_disparity_edges(disparity, reference=True)
    np.testing.assert_array_equal(clean[2:-2, 2:-2], framed[2:-2, 2:-2])
    assert framed[:2].all() and framed[:, -2:].all() and not clean[:2].all()


@examples(20)
@given(st.integers(5, 20), st.booleans())
def test_a_step_is_one_line_and_is_widened_to_five_pixels(place, upright):
    disparity = np.full((24, 26), 4.0)
    disparity[:, place:] = 12.0
    disparity = disparity if upright else np.ascontiguousarray(disparity.T)
    edges, near = disparity_edges(disparity), near_disparity_edges(disparity)
    lines = edges.any(axis=0 if upright else 1)
    assert lines.sum() == 1 and abs(int(np.flatnonzero(lines)[0]) - place) <= 1
    assert near.any(axis=0 if upright else 1).sum() == 5


def test_an_edge_is_a_relative_slope_of_more_than_two_and_a_half_percent():
    steep, gentle = (np.tile(np.exp(slope * np.abs(np.arange(40) - 20)), (12, 1)) * 5 for slope in (0.03, 0.02))
    assert disparity_edges(steep).any() and not disparity_edges(gentle).any()
    ramp = edge_magnitude(np.tile(np.exp(0.05 * np.minimum(np.arange(40), 20.0)), (12, 1)))
    assert ramp.max() == pytest.approx(8 * 0.05, rel=0.02)


@pytest.mark.parametrize("nothing", [0.0, -3.0, np.nan, np.inf])
def test_unknown_disparity_counts_as_none(nothing):
    disparity = np.full((20, 20), nothing)
    assert not near_disparity_edges(disparity).any()
    disparity[:, 10:] = 8.0
    np.testing.assert_array_equal(
        near_disparity_edges(disparity),
        near_disparity_edges(np.where(np.arange(20) < 10, 0.0, 8.0) + np.zeros((20, 1))),
    )
    assert near_disparity_edges(disparity)[:, 8:12].all()


def test_a_batch_is_refused():
    with pytest.raises(ValueError, match=r"Expected a disparity \(H, W\), but got shape \(1, 4, 5\)"):
        edge_magnitude(np.zeros((1, 4, 5)))
