from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mbps_dataset.stages.motion.consistency import (
    backward_warp,
    consistent_disparity,
    consistent_flow,
    disparity_as_flow,
    inside_frame,
)
from tests.examples import examples
from tests.vectors import load_vectors


@pytest.fixture(scope="module")
def golden():
    return load_vectors("cups/consistency")


def test_warps_are_those_of_the_reference_vectors(golden):
    for forward, backward, border, zeros in zip(
        golden["flow_fw"], golden["flow_bw"], golden["warped_bw_border"], golden["warped_bw_zeros"]
    ):
        np.testing.assert_allclose(backward_warp(backward, forward, reference=True), border, atol=2e-5)
        np.testing.assert_allclose(backward_warp(backward, forward, padding="zeros", reference=True), zeros, atol=2e-5)


def test_masks_are_those_of_the_reference_vectors(golden):
    for forward, backward, inside, mask in zip(golden["flow_fw"], golden["flow_bw"], golden["inside"], golden["mask"]):
        np.testing.assert_array_equal(inside_frame(forward, reference=True), inside[0])
        np.testing.assert_array_equal(consistent_flow(forward, backward, reference=True), mask[0])
    still = np.zeros((2, 9, 13))
    np.testing.assert_array_equal(consistent_flow(still, still, reference=True), golden["mask_zero_flow_9x13"][0, 0])
    left, right = golden["disp_l2r"][0, 0], golden["disp_r2l"][0, 0]
    np.testing.assert_array_equal(consistent_disparity(left, right, reference=True), golden["disp_mask"][0, 0])


def test_nothing_moves_is_consistent_to_the_edge():
    still = np.zeros((2, 9, 13))
    assert consistent_flow(still, still).all()
    assert consistent_flow(still, still, reference=True).sum() == 7 * 11


@examples(40)
@given(
    st.integers(-4, 4),
    st.integers(-4, 4),
    arrays.arrays(np.float32, (2, 6, 8), elements=st.floats(-100, 100, width=32)),
)
def test_whole_shifts_read_the_pixel_itself(right, down, values):
    flow = np.stack([np.full((6, 8), right), np.full((6, 8), down)])
    expected = np.zeros_like(values)
    there = np.zeros((6, 8), dtype=bool)
    for y in range(6):
        for x in range(8):
            if 0 <= y + down < 6 and 0 <= x + right < 8:
                expected[:, y, x], there[y, x] = values[:, y + down, x + right], True
    np.testing.assert_array_equal(backward_warp(values, flow, padding="zeros"), expected)
    np.testing.assert_array_equal(inside_frame(flow), there)
    clipped = values[:, np.clip(np.arange(6) + down, 0, 5)][:, :, np.clip(np.arange(8) + right, 0, 7)]
    np.testing.assert_array_equal(backward_warp(values, flow), clipped)


@examples(30)
@given(st.floats(0, 6, width=32), st.floats(0, 4, width=32))
def test_a_ramp_is_read_between_pixels(right, down):
    rows, columns = np.mgrid[:10, :12].astype(np.float32)
    flow = np.stack([np.full((10, 12), right), np.full((10, 12), down)]).astype(np.float32)
    inside = inside_frame(flow)
    read = backward_warp((2 * columns + 3 * rows)[None], flow)[0]
    np.testing.assert_allclose(read[inside], (2 * (columns + right) + 3 * (rows + down))[inside], atol=1e-4)


def test_the_reference_reads_half_a_pixel_beside_the_edges():
    ramp = np.tile(np.arange(9, dtype=np.float32), (5, 1))[None]
    read = backward_warp(ramp, np.zeros((2, 5, 9)), reference=True)[0]
    np.testing.assert_allclose(read[2], [0, 0.625, 1.75, 2.875, 4, 5.125, 6.25, 7.375, 8], atol=1e-5)


def test_what_is_not_finite_is_never_consistent():
    forward = np.zeros((2, 4, 5))
    forward[0, 1, 1], forward[1, 2, 2], forward[0, 3, 3] = np.nan, np.inf, -np.inf
    for reference in (False, True):
        found = consistent_flow(forward, np.zeros((2, 4, 5)), reference=reference)
        assert not found[1, 1] and not found[2, 2] and not found[3, 3]
    backward = np.zeros((2, 4, 5))
    backward[:, 1, 1] = np.nan
    np.testing.assert_array_equal(np.argwhere(~consistent_flow(np.zeros((2, 4, 5)), backward)), [[1, 1]])


@examples(30)
@given(st.floats(-3, 3), st.floats(0.0, 3.0))
def test_only_flows_that_return_are_consistent(there, error):
    forward = np.full((2, 20, 20), there, dtype=np.float32)
    backward = -forward
    backward[0] += np.float32(error)
    e = np.float64(backward[0, 0, 0]) + np.float64(forward[0, 0, 0])
    size = 3 * np.float64(forward[0, 0, 0]) ** 2 + np.float64(backward[0, 0, 0]) ** 2
    limit = 0.01 * size + 0.5
    if abs(e**2 - limit) > 1e-4:
        assert consistent_flow(forward, backward)[10, 10] == (e**2 < limit)


def test_a_disparity_points_to_the_other_eye():
    left = np.full((3, 30), 4.0)
    found = consistent_disparity(left, left)
    assert not found[:, :4].any() and found[:, 4:].all()
    assert not consistent_disparity(left, np.zeros((3, 30)))[:, 4:].any()
    np.testing.assert_array_equal(disparity_as_flow(left, -1)[0], -left)


def test_wrong_shapes_are_named():
    with pytest.raises(ValueError, match=r"Expected a flow \(2, H, W\), but got shape \(3, 4, 5\); x comes first"):
        inside_frame(np.zeros((3, 4, 5)))
    with pytest.raises(
        ValueError, match=r"Expected `values` \(C, H, W\) of the flow's size \(4, 5\), but got shape \(1, 4, 6\)"
    ):
        backward_warp(np.zeros((1, 4, 6)), np.zeros((2, 4, 5)))
    with pytest.raises(ValueError, match="Unknown padding 'mirror'; choose border or zeros"):
        backward_warp(np.zeros((1, 4, 5)), np.zeros((2, 4, 5)), padding="mirror")
    with pytest.raises(ValueError, match=r"Expected a disparity \(H, W\), but got shape \(1, 4, 5\)"):
        consistent_disparity(np.zeros((1, 4, 5)), np.zeros((1, 4, 5)))
