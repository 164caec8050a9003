from __future__ import annotations

import doctest
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mbps_dataset.stages.instances import UNKNOWN_CLASS, Instances, types
from tests.examples import examples


MASKS = arrays.arrays(bool, st.tuples(st.integers(0, 5), st.integers(1, 9), st.integers(1, 9)))


@examples(50)
@given(MASKS)
def test_masks_come_back(masks: np.ndarray) -> None:
    instances = Instances(masks)
    np.testing.assert_array_equal(instances.masks(), masks)
    np.testing.assert_array_equal(instances.areas, masks.sum(axis=(1, 2)))
    assert instances.masks().dtype == bool and len(instances) == len(masks)
    for index, mask in enumerate(masks):
        np.testing.assert_array_equal(instances.mask(index), mask)
        np.testing.assert_array_equal(instances.pixels_of(index), np.flatnonzero(mask))


@examples(50)
@given(MASKS)
def test_boxes_hold_their_masks_tightly(masks: np.ndarray) -> None:
    for mask, (x, y, width, height) in zip(masks, Instances(masks).boxes()):
        inside = mask[y : y + height, x : x + width]
        assert inside.sum() == mask.sum()
        assert not mask.any() or (inside.any(0)[[0, -1]].all() and inside.any(1)[[0, -1]].all())


@examples(30)
@given(MASKS.filter(lambda masks: len(masks) > 0), st.data())
def test_select_takes_the_named_masks_in_that_order(masks: np.ndarray, data: st.DataObject) -> None:
    chosen = data.draw(st.lists(st.integers(0, len(masks) - 1), max_size=6))
    instances = Instances(masks, class_ids=range(len(masks)))
    np.testing.assert_array_equal(instances.select(chosen).masks(), masks[chosen].reshape(-1, *masks.shape[1:]))
    assert instances.select(chosen).class_ids.tolist() == chosen


def test_the_example_in_the_documentation() -> None:
    failed, tried = doctest.testmod(types)
    assert tried and not failed


def test_defaults_and_types() -> None:
    instances = Instances(np.ones((2, 3, 4)))
    assert instances.class_ids.tolist() == [UNKNOWN_CLASS] * 2
    assert instances.scores.tolist() == [1.0, 1.0]
    assert instances.class_ids.dtype == np.int64 and instances.scores.dtype == np.float64
    assert Instances(np.ones((2, 3, 4)), [3, 4], [0.5, 0.2]).scores.tolist() == [0.5, 0.2]


def test_takes_tensors() -> None:
    instances = Instances(torch.ones(1, 2, 2), torch.tensor([11]), torch.tensor([0.5]))
    assert instances.class_ids.tolist() == [11] and instances.areas.tolist() == [4]


def test_overlaps_are_kept() -> None:
    masks = np.ones((2, 2, 2), dtype=bool)
    assert Instances(masks).masks().sum() == 8


def test_concatenate_and_empty() -> None:
    first, second = Instances(np.ones((1, 2, 3)), [5]), Instances(np.zeros((2, 2, 3)), [6, 7])
    both = Instances.concatenate([first, Instances.empty((2, 3)), second])
    assert both.class_ids.tolist() == [5, 6, 7] and both.areas.tolist() == [6, 0, 0]
    assert Instances.empty((2, 3)).masks().shape == (0, 2, 3)
    with pytest.raises(ValueError, match="instances of one image size"):
        Instances.concatenate([first, Instances.empty((3, 3))])


def test_is_immutable_and_survives_pickling() -> None:
    instances = Instances(np.eye(4, dtype=bool)[None], [13], [0.25])
    with pytest.raises(AttributeError, match="cannot be changed"):
        instances.scores = np.ones(1)
    with pytest.raises(ValueError, match="read-only"):
        instances.scores[0] = 1.0
    again = pickle.loads(pickle.dumps(instances))
    np.testing.assert_array_equal(again.masks(), instances.masks())
    assert again.class_ids.tolist() == [13] and again.scores.tolist() == [0.25]


def test_the_callers_arrays_stay_writable() -> None:
    scores = np.ones(1)
    Instances(np.ones((1, 2, 2)), scores=scores)
    scores[0] = 0.5


@examples(30)
@given(MASKS, st.integers(1, 13), st.integers(1, 13))
def test_resized_takes_the_nearest_pixel(masks: np.ndarray, height: int, width: int) -> None:
    rows = [(2 * i + 1) * masks.shape[1] // (2 * height) for i in range(height)]
    columns = [(2 * i + 1) * masks.shape[2] // (2 * width) for i in range(width)]
    expected = masks[:, rows][:, :, columns]
    resized = Instances(masks).resized(height, width)
    np.testing.assert_array_equal(resized.masks(), expected)
    np.testing.assert_array_equal(resized.run_starts, Instances(expected).run_starts)


def test_names_the_field_of_wrong_length() -> None:
    with pytest.raises(ValueError, match=r"one entry of `scores` per instance \(2\)"):
        Instances(np.ones((2, 3, 4)), scores=[1.0])
    with pytest.raises(ValueError, match=r"Expected `masks` to be \(N, H, W\)"):
        Instances(np.ones((3, 4)))
