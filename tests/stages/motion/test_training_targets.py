from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mbps_dataset.stages.motion.thing_statistics import split_by_motion
from mbps_dataset.stages.motion.training_targets import holds_objects, training_targets
from tests.examples import examples
from tests.vectors import load_vectors


SETTINGS = {
    "default_config": {},
    "ignore_unknown_on": {"ignore_unknown_things": True},
    "crop_48x96": {"crop": (48, 96)},
}


@pytest.fixture(scope="module")
def golden():
    return load_vectors("cups/stage2_samples")


def samples_of(golden):
    return sorted({name.split("/")[0] for name in golden if name.endswith("/semantic")})


def test_the_split_is_that_of_the_reference_vectors(golden):
    split = split_by_motion(golden["inside"], golden["all"])
    np.testing.assert_array_equal(split.things, golden["things"])
    np.testing.assert_array_equal(np.sort(split.stuff), np.sort(golden["stuff_in_order"]))


@pytest.mark.parametrize("setting", SETTINGS)
def test_targets_are_those_of_the_reference_vectors(golden, setting):
    for sample in samples_of(golden):
        found = training_targets(
            golden[f"{sample}/semantic"],
            golden[f"{sample}/instance"],
            golden["things"].tolist(),
            golden["stuff_in_order"].tolist(),
            reference=True,
            **SETTINGS[setting],
        )
        expected = f"{setting}/{sample}"
        np.testing.assert_array_equal(found.semantic, golden[f"{expected}/sem_seg"])
        assert len(found.instances) == golden[f"{expected}/n"] and (found.reason is None) == bool(found.instances)
        np.testing.assert_array_equal(np.packbits(found.instances.masks()), golden[f"{expected}/masks"])
        np.testing.assert_array_equal(found.boxes(), golden[f"{expected}/boxes_xyxy"])
        np.testing.assert_array_equal(found.instances.class_ids, golden[f"{expected}/classes"])


def test_images_with_objects_are_those_of_the_reference_vectors(golden):
    samples = samples_of(golden)
    found = [index for index, sample in enumerate(samples) if holds_objects(golden[f"{sample}/instance"])]
    assert found == golden["non_empty_samples"].tolist()


SEMANTIC = np.array([[4, 4, 4, 9], [2, 2, 255, 9], [2, 2, 4, 7]])
NUMBERS = np.array([[1, 1, 0, 3], [2, 2, 2, 3], [2, 2, 0, 0]])


def test_classes_are_ranks_and_objects_of_stuff_are_void():
    found = training_targets(SEMANTIC, NUMBERS, things=[2, 4], stuff=[9, 1])
    assert found.semantic.tolist() == [[0, 0, 0, 255], [0, 0, 255, 255], [0, 0, 0, 255]]
    assert found.instances.class_ids.tolist() == [1, 0] and found.reason is None
    assert found.boxes().tolist() == [[0, 0, 1, 0], [0, 1, 2, 2]]
    unknown = training_targets(SEMANTIC, NUMBERS, things=[2, 4], stuff=[9, 1], ignore_unknown_things=True)
    assert unknown.semantic.tolist() == [[0, 0, 255, 255], [0, 0, 255, 255], [0, 0, 255, 255]]


def test_one_void_pixel_makes_stuff_of_a_thing_in_the_reference_only():
    found = training_targets(SEMANTIC, NUMBERS, things=[2, 4], stuff=[9, 1], reference=True)
    assert found.instances.class_ids.tolist() == [1]
    assert found.semantic.tolist() == [[0, 0, 0, 255], [255, 255, 255, 255], [255, 255, 0, 255]]


def test_an_image_of_stuff_objects_keeps_their_pixels_in_the_reference_only():
    clean, published = (
        training_targets(SEMANTIC, NUMBERS, things=[7], stuff=[9, 4, 2], reference=reference)
        for reference in (False, True)
    )
    assert clean.reason == published.reason == "all 3 moving objects are of stuff classes"
    assert clean.semantic.tolist() == [[255, 255, 2, 255], [255, 255, 255, 255], [255, 255, 2, 0]]
    assert published.semantic.tolist() == [[2, 2, 2, 1], [3, 3, 255, 1], [3, 3, 2, 0]]
    empty = training_targets(SEMANTIC, np.zeros_like(NUMBERS), things=[7], stuff=[9, 4, 2])
    assert empty.reason == "there is no moving object" and len(empty.instances) == 0 and not holds_objects(NUMBERS * 0)


@examples(50)
@given(
    arrays.arrays(np.uint8, (6, 8), elements=st.sampled_from([0, 1, 2, 3, 255])),
    arrays.arrays(np.uint8, (6, 8), elements=st.sampled_from([0, 1, 2, 5])),
    st.booleans(),
)
def test_every_pixel_is_thing_stuff_or_void(semantic, instance_map, ignore):
    found = training_targets(semantic, instance_map, things=[1, 3], stuff=[2, 0], ignore_unknown_things=ignore)
    free = instance_map == 0
    np.testing.assert_array_equal(found.semantic[free & (semantic == 2)], 1)
    np.testing.assert_array_equal(found.semantic[free & (semantic == 0)], 2)
    np.testing.assert_array_equal(found.semantic[semantic == 255], 255)
    np.testing.assert_array_equal(found.semantic[free & np.isin(semantic, [1, 3])], 255 if ignore else 0)
    for index in range(len(found.instances)):
        votes = semantic[found.instances.mask(index)]
        expected = np.argmax([(votes == k).sum() for k in range(4)])
        assert [1, 3][found.instances.class_ids[index]] == expected


def test_the_middle_is_cut_out():
    found = training_targets(SEMANTIC, NUMBERS, things=[2], stuff=[4], crop=(2, 2))
    assert found.semantic.tolist() == [[255, 1], [0, 255]]
    assert found.boxes().tolist() == [[0, 1, 1, 1]]


def test_wrong_inputs_are_named():
    with pytest.raises(ValueError, match="Expected a crop of at most 3 × 4, but got 4 × 4"):
        training_targets(SEMANTIC, NUMBERS, [2], [4], crop=(4, 4))
    with pytest.raises(ValueError, match="Class 4 is listed as a thing and as stuff"):
        training_targets(SEMANTIC, NUMBERS, [2, 4], [4])
    with pytest.raises(ValueError, match="Expected at most 254 stuff classes, but got 255"):
        training_targets(SEMANTIC, NUMBERS, [300], range(255))
    with pytest.raises(ValueError, match=r"to share \(H, W\)"):
        training_targets(SEMANTIC, NUMBERS[:2], [2], [4])
