from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mbps_dataset.metrics.matching import hungarian, hungarian_split, majority
from tests.examples import examples
from tests.metrics import golden


def small_overlaps(max_rows: int = 5, max_columns: int = 4):
    shapes = st.tuples(st.integers(1, max_rows), st.integers(1, max_columns))
    return shapes.flatmap(lambda shape: hnp.arrays(np.int64, shape, elements=st.integers(0, 3)))


def all_optimal_ends(overlap: np.ndarray, drop: bool) -> list[set[int | None]]:
    """By trying every one-to-one assignment: the classes to which each row may go."""
    rows, columns = overlap.shape
    best, solutions = -1, []
    slots = [*range(columns), *[None] * max(0, rows - columns)]
    for order in set(itertools.permutations(slots, rows)):
        total = sum(int(overlap[r, c]) for r, c in enumerate(order) if c is not None)
        if total > best:
            best, solutions = total, []
        if total == best:
            solutions.append(order)
    ends: list[set[int | None]] = [set() for _ in range(rows)]
    for order in solutions:
        for row, column in enumerate(order):
            if column is not None and (overlap[row, column] > 0 or not drop):
                ends[row].add(column)
            elif overlap[row].max() > 0:
                ends[row] |= set(np.flatnonzero(overlap[row] == overlap[row].max()).tolist())
            else:
                ends[row].add(None if drop else 0)
    return ends


@examples(150)
@given(small_overlaps(), st.booleans())
def test_undetermined_is_what_trying_every_assignment_says(overlap: np.ndarray, drop: bool) -> None:
    pseudo_ids = tuple(range(10, 10 + len(overlap)))
    result = hungarian(overlap, pseudo_ids, range(overlap.shape[1]), drop_zero_overlap=drop)
    ends = all_optimal_ends(overlap, drop)
    for row, pseudo in enumerate(pseudo_ids):
        assert result.classes.get(pseudo) in ends[row]
        assert (pseudo in result.undetermined) == (len(ends[row]) > 1 and overlap[row].sum() > 0)


@examples(60)
@given(small_overlaps(4, 4), st.permutations(range(4)))
def test_without_undetermined_ids_numbering_does_not_matter(overlap: np.ndarray, order: list[int]) -> None:
    rows = [k for k in order if k < len(overlap)]
    plain = hungarian(overlap, range(len(overlap)), range(overlap.shape[1]), drop_zero_overlap=True)
    moved = hungarian(overlap[rows], rows, range(overlap.shape[1]), drop_zero_overlap=True)
    assert sorted(plain.undetermined) == sorted(moved.undetermined)
    for row in set(rows) - set(plain.undetermined):
        assert plain.classes.get(row) == moved.classes.get(row)


def test_leftover_pseudo_classes_take_their_largest_overlap() -> None:
    overlap = np.array([[9, 0], [8, 1], [0, 5]])
    assert hungarian(overlap, (0, 1, 2), (5, 7)).classes == {0: 5, 1: 5, 2: 7}


def test_fewer_pseudo_classes_than_classes() -> None:
    assert hungarian(np.array([[1, 4, 2]]), (3,), (0, 1, 2)).classes == {3: 1}


def test_split_never_crosses() -> None:
    overlap = np.array([[9, 0, 8], [7, 2, 1]])
    result = hungarian_split(overlap, (0, 1), (0, 1, 2), pseudo_things=(0,), things=(2,))
    assert result.classes == {0: 2, 1: 0}


def test_split_without_classes_on_one_side_leaves_those_unmatched() -> None:
    result = hungarian_split(np.array([[9], [7]]), (0, 1), (0,), pseudo_things=(0,), things=())
    assert result.classes == {1: 0}


def test_a_pseudo_class_without_overlap_follows_cups_or_stays_unmatched() -> None:
    overlap = np.array([[4, 0], [3, 0], [0, 0]])
    assert hungarian(overlap, (0, 1, 2), (0, 1)).classes[2] in (0, 1)
    assert hungarian(overlap, (0, 1, 2), (0, 1), drop_zero_overlap=True).classes == {0: 0, 1: 0}


def test_majority_lets_classes_share_and_reports_ties() -> None:
    result = majority(np.array([[3, 3], [9, 1], [0, 0]]), (0, 1, 2), (4, 5))
    assert result.classes == {0: 4, 1: 4} and result.undetermined == (0,)


def test_zero_overlap_ties_of_the_vectors() -> None:
    folder = golden.FOLDER / "21_zero_overlap_ties"
    for case in json.loads((folder / "expected.json").read_text()).values():
        arguments = (np.array(case["cost_matrix"]), range(case["num_pseudo"]), (0, 1, 2))
        split = {"pseudo_things": case["pseudo_things"], "things": case["things"]}
        dropped = hungarian_split(*arguments, **split, drop_zero_overlap=True).classes
        live = np.array(case["cost_matrix"]).sum(axis=1) > 0
        assert [dropped.get(k) for k in np.flatnonzero(live)] == np.array(case["drop_zero_overlap_assignment"])[
            live
        ].tolist()
        kept = hungarian_split(*arguments, **split).classes
        assert [kept[k] for k in np.flatnonzero(live)] == np.array(case["cups_assignment"])[live].tolist()


@pytest.mark.parametrize("drop", [False, True])
def test_no_pseudo_class_at_all(drop: bool) -> None:
    assert hungarian(np.zeros((0, 3), int), (), (0, 1, 2), drop_zero_overlap=drop).classes == {}
