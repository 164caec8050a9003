from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mbps_dataset.stages.motion.hole_filling import fill_holes
from tests.examples import examples


masks = arrays.arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9)))


def flooded_from_outside(mask, steps):
    """Background that a walk from outside reaches, pixel by pixel."""
    height, width = mask.shape
    seen, waiting = set(), [(-1, -1)]
    while waiting:
        row, column = waiting.pop()
        beyond = not (-1 <= row <= height and -1 <= column <= width)
        inside = 0 <= row < height and 0 <= column < width
        if beyond or (row, column) in seen or (inside and mask[row, column]):
            continue
        seen.add((row, column))
        waiting += [(row + down, column + right) for down, right in steps]
    reached = np.zeros(mask.shape, dtype=bool)
    for row, column in seen:
        if 0 <= row < height and 0 <= column < width:
            reached[row, column] = True
    return reached


STRAIGHT = [(0, 1), (1, 0), (0, -1), (-1, 0)]
DIAGONAL = [(1, 1), (1, -1), (-1, 1), (-1, -1)]


@examples(100)
@given(masks)
def test_what_cannot_be_reached_from_outside_is_filled(mask):
    before = mask.copy()
    np.testing.assert_array_equal(fill_holes(mask, connectivity=4), ~flooded_from_outside(mask, STRAIGHT))
    np.testing.assert_array_equal(fill_holes(mask), ~flooded_from_outside(mask, STRAIGHT + DIAGONAL))
    np.testing.assert_array_equal(mask, before)


def test_a_diagonal_gap_is_open_for_eight_neighbours_and_closed_for_four():
    mask = np.zeros((7, 7), dtype=bool)
    mask[1:6, 1:6] = True
    mask[2:4, 2:4] = False
    mask[1, 1] = False
    assert fill_holes(mask, connectivity=4).sum() == 24 and fill_holes(mask).sum() == 20
    assert fill_holes(mask, connectivity=4, reference=True).sum() == 24
    assert fill_holes(mask, reference=True).sum() == 20


def test_the_reference_turns_large_objects_inside_out_and_swallows_what_is_parted():
    large = np.ones((8, 8), dtype=bool)
    large[3, 3] = large[0, 0] = False
    np.testing.assert_array_equal(fill_holes(large, reference=True), ~large)
    assert fill_holes(large).sum() == 63
    bar = np.zeros((9, 9), dtype=bool)
    bar[3] = True
    np.testing.assert_array_equal(fill_holes(bar), bar)
    assert fill_holes(bar, reference=True)[:4].all() and not fill_holes(bar, reference=True)[4:].any()


def test_a_full_mask_stays_full_and_is_empty_in_the_reference():
    assert fill_holes(np.ones((4, 5))).all() and not fill_holes(np.ones((4, 5)), reference=True).any()
    assert not fill_holes(np.zeros((4, 5))).any() and not fill_holes(np.zeros((4, 5)), reference=True).any()


def test_wrong_inputs_are_named():
    with pytest.raises(ValueError, match=r"Expected a mask \(H, W\), but got shape \(1, 4, 5\)"):
        fill_holes(np.ones((1, 4, 5)))
    with pytest.raises(ValueError, match="Expected `connectivity` 4 or 8, but got 6"):
        fill_holes(np.ones((4, 5)), connectivity=6)
