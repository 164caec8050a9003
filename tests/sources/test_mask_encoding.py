from __future__ import annotations

from itertools import groupby

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pycocotools import mask as coco

from mbps_dataset.errors import InputError
from mbps_dataset.sources.mask_encoding import decode_run_lengths, decode_segmentation, fill_polygon
from tests.examples import examples


pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

MASKS = arrays.arrays(bool, st.tuples(st.integers(1, 40), st.integers(1, 40)))


@examples(50)
@given(MASKS)
def test_decodes_what_pycocotools_compresses(mask: np.ndarray) -> None:
    encoded = coco.encode(np.asfortranarray(mask, dtype=np.uint8))
    np.testing.assert_array_equal(decode_run_lengths(encoded["counts"], mask.shape), mask)
    text = {"size": list(mask.shape), "counts": encoded["counts"].decode()}
    np.testing.assert_array_equal(decode_segmentation(text, mask.shape), mask)


@examples(50)
@given(MASKS)
def test_decodes_plain_counts(mask: np.ndarray) -> None:
    counts = [len(list(run)) for _, run in groupby(mask.T.ravel())]
    counts = [0, *counts] if mask[0, 0] else counts
    np.testing.assert_array_equal(decode_run_lengths(counts, mask.shape), mask)


@examples(100)
@given(
    st.lists(st.tuples(st.floats(-6, 46), st.floats(-6, 46)), min_size=3, max_size=9),
    st.integers(1, 40),
    st.integers(1, 40),
)
def test_fills_polygons_as_pycocotools_does(corners: list[tuple[float, float]], height: int, width: int) -> None:
    polygon = [number for corner in corners for number in corner]
    expected = coco.decode(coco.frPyObjects([polygon], height, width))[..., 0].astype(bool)
    np.testing.assert_array_equal(fill_polygon(polygon, (height, width)), expected)


def test_several_polygons_are_one_mask() -> None:
    polygons = [[0, 0, 3, 0, 3, 2, 0, 2], [4, 1, 6, 1, 6, 3, 4, 3]]
    expected = coco.decode(coco.merge(coco.frPyObjects(polygons, 4, 7))).astype(bool)
    np.testing.assert_array_equal(decode_segmentation(polygons, (4, 7)), expected)
    assert not decode_segmentation([], (4, 7)).any()


@pytest.mark.parametrize(
    "segmentation, message",
    [
        ({"size": [7, 4], "counts": [28]}, r"the mask is 7 x 4 \(H x W\), but the image is 4 x 7"),
        ({"size": [4, 7], "counts": [27]}, r"do not fill a 4 x 7 mask \(sum 27\)"),
        ({"size": [4, 7], "counts": "\x01"}, "hold the character"),
        ({"size": [4, 7], "counts": "P"}, "end in the middle of a number"),
        ({"counts": [28]}, "neither run lengths"),
        ([[0, 0, 1, 1]], "neither run lengths"),
        ("mask", "neither run lengths"),
    ],
)
def test_says_what_is_wrong(segmentation: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        decode_segmentation(segmentation, (4, 7))
