"""Tile order is a permutation of the pixels, and going there and back changes nothing."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from mbps_dataset.stages.tiling import Tiling
from tests.examples import examples


TILINGS = st.builds(Tiling, height=st.integers(1, 40), width=st.integers(1, 40), side=st.integers(1, 50))


@examples(50)
@given(tiling=TILINGS)
def test_every_pixel_comes_once_and_tiles_are_contiguous(tiling):
    n_pixels = tiling.height * tiling.width
    np.testing.assert_array_equal(np.sort(tiling.positions.ravel()), np.arange(n_pixels))
    for window, places in zip(tiling.windows, tiling.ranges):
        np.testing.assert_array_equal(tiling.positions[window].ravel(), np.arange(places.start, places.stop))


@examples(50)
@given(tiling=TILINGS, channels=st.integers(1, 4))
def test_there_and_back(tiling, channels):
    planes = torch.rand(channels, tiling.height, tiling.width)
    rows = tiling.rows(planes, lambda tile: tile)
    torch.testing.assert_close(tiling.planes(rows), planes, rtol=0, atol=0)
    np.testing.assert_array_equal(tiling.in_order(planes.numpy()), rows.numpy().T)
    np.testing.assert_array_equal(rows.numpy()[tiling.positions].transpose(2, 0, 1), planes.numpy())


def test_rows_are_changed_but_not_the_planes():
    planes = torch.ones(2, 3, 5)
    rows = Tiling(3, 5, 2).rows(planes, lambda tile: tile.mul_(3))
    assert (rows == 3).all() and (planes == 1).all()


def test_order_of_a_small_image():
    np.testing.assert_array_equal(Tiling(2, 4, 2).positions, [[0, 1, 4, 5], [2, 3, 6, 7]])
