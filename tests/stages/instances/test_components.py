from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from mbps_dataset.stages.instances.components import join_pairs, label_components
from tests.examples import examples


@examples(80)
@given(arrays.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 2)))
def test_equals_scipy_label_class_by_class(keys: np.ndarray) -> None:
    found = label_components(keys)
    painted = found.paint(np.arange(1, len(found.areas) + 1), 0)
    seen = 0
    for key in (1, 2):
        expected, count = ndimage.label(keys == key)
        own = np.flatnonzero(found.keys == key)
        seen += len(own)
        assert len(own) == count
        # Our numbers run over all keys; within one key they must follow the same raster order.
        renumbered = np.zeros(len(found.areas) + 1, dtype=int)
        renumbered[own + 1] = np.arange(1, count + 1)
        np.testing.assert_array_equal(renumbered[painted], expected)
        np.testing.assert_array_equal(found.areas[own], np.bincount(expected.ravel(), minlength=count + 1)[1:])
    assert seen == len(found.areas)


def test_numbers_follow_the_first_pixel() -> None:
    keys = np.array([[0, 0, 1, 0], [1, 0, 1, 0], [1, 1, 1, 2]])
    assert label_components(keys).paint(np.array([10, 20]), 0).tolist() == [
        [0, 0, 10, 0],
        [10, 0, 10, 0],
        [10, 10, 10, 20],
    ]


def test_joining_is_transitive_and_numbered_by_first_member() -> None:
    assert join_pairs(np.array([4, 2]), np.array([2, 0]), 5).tolist() == [0, 1, 0, 2, 0]
    assert join_pairs(np.array([], int), np.array([], int), 3).tolist() == [0, 1, 2]
