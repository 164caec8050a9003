"""Lists of segments in the forms in which people have them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mbps_dataset.errors import InputError
from mbps_dataset.reading.segments_info import Segment, as_integer, listed_segments


ROAD, CAR = {"id": 1, "category_id": 0}, {"id": 2, "category_id": 13, "iscrowd": 1, "score": 0.5}
FOUND = {1: Segment(1, 0), 2: Segment(2, 13, True, 0.5)}


@pytest.mark.parametrize(
    "given",
    [
        [ROAD, CAR],
        (ROAD, CAR),
        np.array([ROAD, CAR], dtype=object),
        {"id": [1, 2], "category_id": [0, 13], "iscrowd": [0, 1], "score": [None, 0.5]},
        {"id": np.array([1, 2]), "label_id": np.array([0.0, 13.0]), "iscrowd": [0, 1], "score": [None, 0.5]},
        [{"id": np.int64(1), "label_id": 0, "category_id": None}, CAR],
    ],
)
def test_every_form_gives_the_same(given) -> None:
    assert listed_segments(given, "x") == FOUND and listed_segments([], "x") == listed_segments({}, "x") == {}


def test_an_id_may_be_listed_again_only_where_transformers_fused_segments_of_one_class() -> None:
    fused = [{"id": 1, "label_id": 0, "was_fused": True, "score": s} for s in (0.9, 0.8)]
    assert listed_segments(fused, "x") == {1: Segment(1, 0, False, 0.9)}
    collided = [fused[0], {"id": 1, "label_id": 5, "was_fused": True}]  # transformers counts on from a fused id
    for given in (collided, [ROAD, ROAD], [ROAD, ROAD | {"category_id": 3}]):
        with pytest.raises(
            InputError, match="x: segment id 1 is listed twice in `segments_info`, as category 0 and as"
        ):
            listed_segments(given, "x")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (None, "`segments_info` must be a list of segments, but is None"),
        ("text", "`segments_info` must be a list of segments, but is 'text'"),
        ([5], "`segments_info` must hold dicts, but holds 5"),
        ({"id": [1, 2], "category_id": [0]}, "is a dict whose values are no lists of one length"),
        ({"id": 1, "category_id": 0}, "is a dict whose values are no lists of one length"),
        ([{"category_id": 0}], "a segment of `segments_info` has no `id`"),
        ([{"id": 1}], "segment 1 has neither `category_id` nor `label_id`"),
        ([{"id": -3, "category_id": 0}], "has the negative id -3"),
        ([{"id": 1, "category_id": 0, "score": math.nan}], "the score of segment 1 is nan, not a number"),
        ([{"id": 1, "category_id": 0, "score": "0.5x"}], "the score of segment 1 is '0.5x', not a number"),
    ],
)
def test_what_is_no_list_of_segments_is_said(given, sentence: str) -> None:
    with pytest.raises(InputError, match=f"x: .*{sentence}"):
        listed_segments(given, "x")


@pytest.mark.parametrize("value", ["7", None, 1.5, math.nan, math.inf, True, 10**12, [1], {}])
def test_only_whole_numbers_are_integers(value) -> None:
    assert as_integer(np.float32(7), "x") == 7
    with pytest.raises(InputError, match="x must be an integer, but is "):
        as_integer(value, "x")
