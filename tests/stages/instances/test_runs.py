from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mbps_dataset.stages.instances.runs import Runs, pixels_of_runs, runs_of_pixels, union_by_owner
from tests.examples import examples


MAPS = arrays.arrays(np.uint8, st.tuples(st.integers(1, 7), st.integers(1, 7)), elements=st.integers(0, 2))


@examples(50)
@given(MAPS)
def test_runs_stand_for_the_map(labels: np.ndarray) -> None:
    runs = Runs.of(labels)
    np.testing.assert_array_equal(runs.paint(runs.values), labels)
    np.testing.assert_array_equal(runs.counts(3), np.bincount(labels.ravel(), minlength=3))
    assert (runs.starts // labels.shape[1] == (runs.starts + runs.lengths - 1) // labels.shape[1]).all()


@examples(50)
@given(MAPS)
def test_runs_are_as_few_as_can_be(labels: np.ndarray) -> None:
    changes = (labels[:, 1:] != labels[:, :-1]).sum()
    assert len(Runs.of(labels).starts) == len(labels) + changes


@examples(50)
@given(MAPS)
def test_window_is_the_bounding_box(labels: np.ndarray) -> None:
    runs = Runs.of(labels)
    value = labels.flat[0]
    window = runs.window(runs.values == value)
    inside = labels[window] == value
    assert inside.sum() == (labels == value).sum()
    assert inside.any(0)[[0, -1]].all() and inside.any(1)[[0, -1]].all()


@examples(50)
@given(st.sets(st.integers(0, 48)), st.integers(1, 9))
def test_pixels_and_runs_are_two_forms_of_one_thing(chosen: set[int], width: int) -> None:
    pixels = np.array(sorted(chosen), dtype=np.int64)
    starts, lengths = runs_of_pixels(pixels, width)
    np.testing.assert_array_equal(pixels_of_runs(starts, lengths), pixels)
    assert (starts // width == (starts + lengths - 1) // width).all()


@examples(80)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4), st.integers(0, 6), st.integers(1, 7)), max_size=12))
def test_union_by_owner_is_the_set_union(pieces: list[tuple[int, int, int, int]]) -> None:
    height, width = 5, 7
    owned = [set(), set(), set()]
    starts, lengths, owners = [], [], []
    for owner, row, column, length in pieces:
        length = min(length, width - column)
        starts.append(row * width + column)
        lengths.append(length)
        owners.append(owner)
        owned[owner] |= set(range(starts[-1], starts[-1] + length))
    arguments = (np.array(values, dtype=np.int64) for values in (starts, lengths, owners))
    starts, lengths, offsets = union_by_owner(*arguments, 3, (height, width))
    for owner in range(3):
        runs = slice(offsets[owner], offsets[owner + 1])
        expected = runs_of_pixels(np.array(sorted(owned[owner]), dtype=np.int64), width)
        np.testing.assert_array_equal(starts[runs], expected[0])
        np.testing.assert_array_equal(lengths[runs], expected[1])
