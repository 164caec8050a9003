from __future__ import annotations

from itertools import groupby

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pycocotools import mask as coco

from mbps_dataset.errors import InputError
from mbps_dataset.sources.mask_encoding import (
    decode_run_lengths,
    decode_segmentation,
    encode_segmentation,
    fill_polygons,
    segmentation_pixels,
)
from tests.examples import examples


pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

MASKS = arrays.arrays(bool, st.tuples(st.integers(1, 40), st.integers(1, 40)))


def runs_of(mask: np.ndarray) -> list[int]:
    counts = [len(list(run)) for _, run in groupby(mask.T.ravel())]
    return [0, *counts] if mask[0, 0] else counts


def filled_by_coco(polygons: list[list[float]], height: int, width: int) -> np.ndarray:
    return coco.decode(coco.merge(coco.frPyObjects(polygons, height, width))).astype(bool)


@examples(50)
@given(MASKS)
def test_decodes_what_pycocotools_compresses(mask: np.ndarray) -> None:
    encoded = coco.encode(np.asfortranarray(mask, dtype=np.uint8))
    np.testing.assert_array_equal(decode_run_lengths(encoded["counts"], mask.shape), mask)
    text = {"size": list(mask.shape), "counts": encoded["counts"].decode()}
    np.testing.assert_array_equal(decode_segmentation(text, mask.shape), mask)
    np.testing.assert_array_equal(segmentation_pixels(text, mask.shape), np.flatnonzero(mask))


@pytest.mark.parametrize("side", [0, 1, 3, 9, 30])
def test_pixels_of_small_and_large_masks_are_in_reading_order(side: int) -> None:
    mask = np.zeros((30, 40), bool)
    mask[: side + 1, 5 : 5 + side], mask[-1, -1] = True, side > 0
    text = {"size": [30, 40], "counts": runs_of(mask)}
    np.testing.assert_array_equal(segmentation_pixels(text, mask.shape), np.flatnonzero(mask))
    assert segmentation_pixels([], mask.shape).size == 0


@examples(50)
@given(MASKS)
def test_decodes_plain_counts(mask: np.ndarray) -> None:
    np.testing.assert_array_equal(decode_run_lengths(runs_of(mask), mask.shape), mask)


def test_runs_of_no_pixels_are_taken() -> None:
    assert decode_run_lengths([0, 0, 3, 0, 0, 1], (1, 4)).tolist() == [[False, False, False, True]]
    assert decode_run_lengths([], (0, 4)).shape == (0, 4)


@pytest.mark.parametrize("reach", [6, 300, 100_000])
@examples(60)
@given(data=st.data(), height=st.integers(1, 40), width=st.integers(1, 40))
def test_fills_polygons_as_pycocotools_does(reach: int, data: st.DataObject, height: int, width: int) -> None:
    corner = st.tuples(st.floats(-reach, 40 + reach), st.floats(-reach, 40 + reach))
    polygons = data.draw(st.lists(st.lists(corner, min_size=3, max_size=9), min_size=1, max_size=3))
    expected = filled_by_coco([[number for point in each for number in point] for each in polygons], height, width)
    filled = fill_polygons([np.array(each, float) for each in polygons], (height, width))
    np.testing.assert_array_equal(filled, expected)


def test_several_polygons_are_one_mask() -> None:
    polygons: list[list[float]] = [[0, 0, 3, 0, 3, 2, 0, 2], [4, 1, 6, 1, 6, 3, 4, 3], [2, 0, 5, 0, 5, 2, 2, 2]]
    np.testing.assert_array_equal(decode_segmentation(polygons, (4, 7)), filled_by_coco(polygons, 4, 7))
    assert not decode_segmentation([], (4, 7)).any()


def test_a_corner_far_outside_costs_no_more_than_one_inside() -> None:
    far = [0, 0, 1e6, 5, 3, 60]
    np.testing.assert_array_equal(decode_segmentation([far], (64, 128)), filled_by_coco([far], 64, 128))
    assert decode_segmentation([[0, 0, 1e8, 5, 3, 60]], (64, 128)).any()  # pycocotools would draw 500 million points


def test_many_points_are_taken_where_they_follow_an_outline() -> None:
    angle = np.linspace(0, 2 * np.pi, 100_000)
    circle = (np.stack([np.cos(angle), np.sin(angle)], 1) * 20 + 30).ravel().tolist()
    np.testing.assert_array_equal(decode_segmentation([circle], (64, 128)), filled_by_coco([circle], 64, 128))


def test_polygons_of_one_square_are_no_mask() -> None:
    square: list[list[float]] = [[0, 0, 1, 0, 1, 1, 0, 1]]
    np.testing.assert_array_equal(decode_segmentation(square, (4, 7)), filled_by_coco(square, 4, 7))


@pytest.mark.parametrize("value", [1, 1.0, True, 255])
@pytest.mark.parametrize("shape", [(20, 30), (30, 20), (20, 31), (12, 16)])
def test_a_mask_as_rows_is_no_list_of_polygons(value: float, shape: tuple[int, int]) -> None:
    rows = [[value * 0] * 30 for _ in range(20)]
    for row in rows[5:10]:
        row[5:10] = [value] * 5
    with pytest.raises(InputError, match="a mask as 20 rows of 30 numbers and no list of polygons; write it as run"):
        decode_segmentation(rows, shape)
    with pytest.raises(InputError, match="a mask as 1 rows of 600 numbers and no list of polygons"):
        decode_segmentation([sum(rows, [])], shape)


def test_probabilities_and_ids_as_rows_are_no_list_of_polygons() -> None:
    rows = np.random.default_rng(0).random((20, 30))
    for mask in (rows, (rows * 9).astype(int)):
        with pytest.raises(InputError, match="a mask as 20 rows of 30 numbers"):
            decode_segmentation(mask.tolist(), (20, 30))


NEITHER = "neither run lengths"
COUNTS = "but must be a list of whole numbers"
CORNERS = "but must be an even number of coordinates"


@pytest.mark.parametrize(
    "segmentation, message",
    [
        ({"size": [7, 4], "counts": [28]}, r"the mask is 7 x 4 \(H x W\), but the image is 4 x 7"),
        ({"size": "ab", "counts": "x"}, r"`size` is 'ab', but must be \[height, width\] in whole pixels"),
        ({"size": [4], "counts": [28]}, r"`size` is \[4\], but"),
        ({"size": None, "counts": [28]}, "`size` is None, but"),
        ({"size": [4.0, 7.5], "counts": [28]}, r"`size` is \[4.0, 7.5\], but"),
        ({"size": [4, 7], "counts": [27]}, r"do not fill a 4 x 7 mask \(sum 27\)"),
        ({"size": [4, 7], "counts": [-1, 29]}, r"do not fill a 4 x 7 mask \(sum 28\)"),
        ({"size": [4, 7], "counts": [2**62] * 4 + [28]}, rf"do not fill a 4 x 7 mask \(sum {2**64 + 28}\)"),
        ({"size": [4, 7], "counts": [2**63, 28]}, COUNTS),
        ({"size": [4, 7], "counts": [2**70, 28]}, COUNTS),
        ({"size": [4, 7], "counts": []}, r"do not fill a 4 x 7 mask \(sum 0\)"),
        ({"size": [4, 7], "counts": [0] * 59}, "holds 59 runs, but the image has 28 pixels"),
        ({"size": [4, 7], "counts": [10.5, 17.5]}, f"`counts` holds 10.5, {COUNTS}"),
        ({"size": [4, 7], "counts": [None, 28]}, f"`counts` holds None, {COUNTS}"),
        ({"size": [4, 7], "counts": ["a", 28]}, f"`counts` holds 'a', {COUNTS}"),
        ({"size": [4, 7], "counts": [[28]]}, rf"`counts` holds \[28\], {COUNTS}"),
        ({"size": [4, 7], "counts": [[1], [1, 2]]}, rf"`counts` holds \[1\], {COUNTS}"),
        ({"size": [4, 7], "counts": None}, "`counts` is None, but must be text or a list of whole numbers"),
        ({"size": [4, 7], "counts": 28}, "`counts` is 28, but must be text"),
        ({"size": [4, 7], "counts": "\x01"}, "hold the character"),
        ({"size": [4, 7], "counts": "\ud800"}, "hold the character"),
        ({"size": [4, 7], "counts": "P"}, "end in the middle of a number"),
        ({"size": [4, 7], "counts": "o" * 400_000}, "`counts` holds 400,000 characters, but the image has 28 pixels"),
        ({"size": [4, 7], "counts": "o" * 300}, "end in the middle of a number"),
        ({"size": [4, 7], "counts": "o" * 300 + "0"}, "hold a number of 301 characters"),
        ({"size": [4, 7], "counts": "0" * 300}, "holds 300 runs, but the image has 28 pixels"),
        ({"size": [4, 7], "counts": "oooooooooo0"}, "run lengths hold 1125899906842623, but there are 28 pixels"),
        ({"size": [4, 7], "counts": ""}, r"do not fill a 4 x 7 mask \(sum 0\)"),
        ({"counts": [28]}, NEITHER),
        ({"size": [4, 7]}, NEITHER),
        ([[0, 0, 1, 1]], rf"a polygon is \[0, 0, 1, 1\], {CORNERS}"),
        ([[0, 0, 1, 1, 2, 5, 3]], CORNERS),
        ([[]], rf"a polygon is \[\], {CORNERS}"),
        ([[True, False, True, True, False, True]], CORNERS),
        ([[0, 0, "a", 1, 1, 1]], NEITHER),
        ([[0, 0, None, 1, 1, 1]], NEITHER),
        ([0, 0, 2, 0, 2, 2], NEITHER),
        ([[[0, 0], [2, 0], [2, 2]]], NEITHER),
        ([{"size": [4, 7], "counts": [28]}], NEITHER),
        ([[2, 2, float("nan"), 2, 10, 10]], "a polygon has the coordinate nan, which is no place in pixels"),
        ([[2, 2, float("inf"), 2, 10, 10]], "a polygon has the coordinate inf"),
        ([[0, 0, 1e300, 5, 3, 60]], r"a polygon has the coordinate 1e\+300"),
        ([[0, 0, -(10**9), 5, 3, 60]], r"a polygon has the coordinate -1e\+09"),
        ([[0, 0, 10**400, 5, 3, 60]], "a polygon has the coordinate inf"),
        ([[0, 0, 7, 1] * 5_000], "the polygons cross pixel columns 70,000 times, far too often for an image of 4 x 7"),
        ("mask", NEITHER),
        (None, NEITHER),
        (3, NEITHER),
    ],
)
def test_says_what_is_wrong(segmentation: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        decode_segmentation(segmentation, (4, 7))


@given(MASKS)
@examples(100)
def test_a_mask_is_written_as_cocos_tools_write_it(mask) -> None:
    pixels = np.flatnonzero(mask)
    written = encode_segmentation(pixels, mask.shape)
    assert written["counts"] == coco.encode(np.asfortranarray(mask, dtype=np.uint8))["counts"].decode()
    assert segmentation_pixels(written, mask.shape).tolist() == pixels.tolist()


@pytest.mark.parametrize("mask", [np.zeros((700, 900), bool), np.ones((700, 900), bool), np.eye(700, 900, 40, bool)])
def test_long_runs_are_written_too(mask) -> None:
    written = encode_segmentation(np.flatnonzero(mask), mask.shape)
    assert written["counts"] == coco.encode(np.asfortranarray(mask, dtype=np.uint8))["counts"].decode()
