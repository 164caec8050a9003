from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mbps_dataset.stages.instances import Instances
from mbps_dataset.stages.motion.alignment import align_semantics, cut_by_class, objects_as_things
from tests.examples import examples
from tests.vectors import load_vectors


CASES = ("plain", "gaps", "none", "ties_and_zero", "no_background_two_ids")


@pytest.fixture(scope="module")
def golden():
    return load_vectors("cups/align_statistics")


@pytest.mark.parametrize("case", CASES)
def test_aligned_maps_are_those_of_the_reference_vectors(golden, case):
    found = align_semantics(golden[f"{case}/semantic"], golden[f"{case}/instance"], reference=True)
    np.testing.assert_array_equal(found.semantic, golden[f"{case}/aligned"])
    as_stored = np.where(found.class_ids == 0, 255, found.class_ids)
    np.testing.assert_array_equal(as_stored, golden[f"{case}/majority_with_0_as_255"])
    assert found.reason is None and found.semantic.dtype == np.uint8


semantics = arrays.arrays(np.uint8, (5, 6), elements=st.sampled_from([0, 1, 2, 3, 255]))
numbers = arrays.arrays(np.uint8, (5, 6), elements=st.sampled_from([0, 1, 2, 7]))


@examples(80)
@given(semantics, numbers)
def test_every_instance_has_its_most_frequent_class(semantic, instance_map):
    found = align_semantics(semantic, instance_map)
    np.testing.assert_array_equal(found.semantic[instance_map == 0], semantic[instance_map == 0])
    for number, class_id in zip(found.ids, found.class_ids, strict=True):
        votes = semantic[instance_map == number]
        counts = [(votes == k).sum() for k in range(4)]
        expected = int(np.argmax(counts)) if max(counts) else -1
        assert class_id == expected
        assert set(found.semantic[instance_map == number]) == {255 if expected == -1 else expected}
    again = align_semantics(found.semantic, instance_map)
    np.testing.assert_array_equal(again.semantic, found.semantic)


def test_ties_and_void_differ_in_the_reference():
    semantic, instance_map = np.array([[0, 0, 5, 5, 255]]), np.array([[1, 1, 1, 1, 0]])
    assert align_semantics(semantic, instance_map).semantic.tolist() == [[0, 0, 0, 0, 255]]
    assert align_semantics(semantic, instance_map, reference=True).semantic.tolist() == [[5, 5, 5, 5, 0]]
    wide = np.array([[65535, 300, 65535]], dtype=np.uint16)
    assert align_semantics(wide, np.array([[1, 1, 1]])).semantic.tolist() == [[300, 300, 300]]


def test_the_only_instance_of_a_full_map_is_a_reason_in_the_reference():
    semantic, instance_map = np.array([[1, 2, 2]]), np.array([[4, 4, 4]])
    assert align_semantics(semantic, instance_map).class_ids.tolist() == [2]
    found = align_semantics(semantic, instance_map, reference=True)
    assert found.reason == "instance 4 covers the whole image" and found.semantic.tolist() == [[1, 2, 2]]
    assert len(found.ids) == len(found.class_ids) == 0


def test_sizes_must_agree():
    with pytest.raises(ValueError, match=r"to share \(H, W\), but got \(2, 3\) and \(1, 3\); resize one of them"):
        align_semantics(np.zeros((1, 3), dtype=int), np.zeros((2, 3), dtype=int))


def test_an_instance_cut_by_class_is_one_for_each_class_it_has():
    semantic = np.array([[1, 1, 2], [0, 2, 2]])
    masks = np.array([[[1, 1, 1], [1, 0, 0]], [[0, 0, 0], [0, 1, 1]]])
    parts = cut_by_class(Instances(masks, scores=[0.5, 0.9]), semantic, (1, 2))
    assert parts.class_ids.tolist() == [1, 2, 2] and parts.scores.tolist() == [0.5, 0.5, 0.9]
    assert parts.masks().astype(int).tolist() == [
        [[1, 1, 0], [0, 0, 0]],
        [[0, 0, 1], [0, 0, 0]],
        [[0, 0, 0], [0, 1, 1]],
    ]
    assert (
        len(cut_by_class(Instances(masks), semantic, ()))
        == len(cut_by_class(Instances.empty((2, 3)), semantic, (1,)))
        == 0
    )
    with pytest.raises(ValueError, match=r"to share \(H, W\)"):
        cut_by_class(Instances(masks), semantic[:1], (1,))


def test_an_object_that_moves_is_a_thing_whatever_most_of_it_looks_like():
    semantic = np.array([[1, 1, 1, 7, 2, 2], [4, 4, 4, 9, 9, 7]])
    instance_map = np.array([[1, 1, 1, 1, 0, 0], [2, 2, 3, 3, 3, 3]])
    aligned = align_semantics(semantic, instance_map).semantic
    found = objects_as_things(aligned, semantic, instance_map, [7, 9])
    # the first is mostly stuff with some of 7; the second has no thing at all; the third is a thing already
    assert found.tolist() == [[7, 7, 7, 7, 2, 2], [255, 255, 9, 9, 9, 9]]
    assert aligned.tolist() == [[1, 1, 1, 1, 2, 2], [4, 4, 9, 9, 9, 9]]
    with pytest.raises(ValueError):
        objects_as_things(aligned[:1], semantic, instance_map, [7])
