"""One nearest resizing for every map, by Pillow's rule or torch's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mbps_dataset.resizing import resize_nearest
from tests.examples import examples


SIDES = st.integers(1, 60)


def apart_from_ties(size_in: int, size_out: int) -> np.ndarray:
    """Targets whose centre falls inside a source pixel: on a border between two, Pillow's rounding errors decide."""
    return np.flatnonzero((2 * np.arange(size_out) + 1) * size_in % (2 * size_out))


@examples(60)
@given(height=SIDES, width=SIDES, new_height=SIDES, new_width=SIDES)
def test_pillow_picks_the_same_pixels(height, width, new_height, new_width):
    labels = np.random.default_rng(height).integers(0, 250, (height, width), dtype=np.uint8)
    by_pillow = np.asarray(Image.fromarray(labels).resize((new_width, new_height), Image.Resampling.NEAREST))
    clear = np.ix_(apart_from_ties(height, new_height), apart_from_ties(width, new_width))
    assert np.array_equal(resize_nearest(labels, new_height, new_width)[clear], by_pillow[clear])


@pytest.mark.parametrize("size", [(322, 512), (644, 1024), (1024, 512), (512, 1024), (644, 2048), (640, 1024)])
def test_sizes_in_use_are_pillows_to_the_pixel(size):
    row = np.arange(size[0], dtype=np.int32)[None]
    by_pillow = np.asarray(Image.fromarray(row).resize((size[1], 1), Image.Resampling.NEAREST))
    assert np.array_equal(resize_nearest(row, 1, size[1]), by_pillow)


@examples(30)
@given(
    height=st.integers(1, 20), width=st.integers(1, 20), factor=st.integers(1, 4), dtype=st.sampled_from(["u1", "u2"])
)
def test_enlarging_repeats_and_shrinking_undoes_it(height, width, factor, dtype):
    labels = np.random.default_rng(height).integers(0, 250, (height, width)).astype(dtype)
    enlarged = resize_nearest(labels, height * factor, width * factor)
    assert enlarged.dtype == labels.dtype
    np.testing.assert_array_equal(enlarged, np.kron(labels, np.ones((factor, factor), dtype=dtype)))
    np.testing.assert_array_equal(resize_nearest(enlarged, height, width), labels)


def test_halving_keeps_odd_rows_and_columns():
    labels = np.arange(64, dtype=np.uint16).reshape(8, 8)
    np.testing.assert_array_equal(resize_nearest(labels, 4, 4), labels[1::2, 1::2])


@pytest.mark.parametrize("size_hw", [(5, 7), (10, 14), (3, 20), (11, 4)])
def test_torch_picks_the_same_pixels_by_its_own_rule(size_hw: tuple[int, int]) -> None:
    labels = np.random.default_rng(0).integers(0, 200, (10, 14), dtype=np.uint8)
    by_torch = torch.nn.functional.interpolate(torch.from_numpy(labels)[None, None].float(), size_hw, mode="nearest")
    assert np.array_equal(resize_nearest(labels, *size_hw, "torch"), by_torch[0, 0].numpy().astype(np.uint8))


def test_further_axes_are_carried_along():
    image = np.arange(4 * 6 * 3).reshape(4, 6, 3)
    assert np.array_equal(resize_nearest(image, 2, 3), image[1::2, 1::2])
    assert resize_nearest(image, 4, 6) is image
