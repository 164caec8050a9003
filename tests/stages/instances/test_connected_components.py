from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from mbps_dataset.stages.instances import Instances, connected_components, with_leftover_components
from tests.examples import examples
from tests.stages.instances.scenes import THINGS, fragmented_street


MAPS = arrays.arrays(np.uint8, (8, 9), elements=st.sampled_from([0, 11, 13, 255]))


@examples(50)
@given(MAPS, st.integers(0, 6))
def test_equals_scipy_label(semantic: np.ndarray, min_area: int) -> None:
    found = connected_components(semantic, None, THINGS, min_area=min_area)
    expected = []
    for thing in THINGS:
        labels, count = ndimage.label(semantic == thing)
        masks = [labels == number for number in range(1, count + 1)]
        expected += [(thing, mask) for mask in masks if mask.sum() >= min_area]
    expected.sort(key=lambda entry: -entry[1].sum())
    assert found.class_ids.tolist() == [thing for thing, _ in expected]
    np.testing.assert_array_equal(found.masks(), np.array([mask for _, mask in expected]).reshape(-1, 8, 9))
    assert len(found) == 0 or found.scores.tolist() == [mask.sum() / expected[0][1].sum() for _, mask in expected]


def test_no_area_is_infinite() -> None:
    semantic, depth = fragmented_street(0, 64, 96)
    assert len(connected_components(semantic, depth, THINGS, min_area=math.inf)) == 0


@examples(50)
@given(MAPS, arrays.arrays(bool, (2, 8, 9)), st.integers(1, 4))
def test_leftovers_fill_the_gaps_and_no_more(semantic: np.ndarray, masks: np.ndarray, min_area: int) -> None:
    first = Instances(masks, [13, 11], [0.9, 0.5])
    filled = with_leftover_components(first, semantic, THINGS, min_area=min_area)
    np.testing.assert_array_equal(filled.select([0, 1]).masks(), masks)
    extra = filled.select(range(2, len(filled)))
    np.testing.assert_array_equal(extra.scores, 0.1)
    uncovered = np.where(masks.any(axis=0), 0, semantic)
    np.testing.assert_array_equal(
        extra.masks(), connected_components(uncovered, None, THINGS, min_area=min_area).masks()
    )


def test_leftovers_of_nothing() -> None:
    instances = Instances(np.zeros((1, 4, 5)), [13])
    assert len(with_leftover_components(instances, np.zeros((4, 5), np.uint8), THINGS)) == 1
    assert len(with_leftover_components(instances, np.full((4, 5), 13, np.uint8), [])) == 1
    with pytest.raises(ValueError, match=r"share \(H, W\), but got \(4, 5\) and \(5, 5\)"):
        with_leftover_components(instances, np.zeros((5, 5), np.uint8), THINGS)
