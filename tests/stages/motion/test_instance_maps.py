from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mbps_dataset.stages.motion.instance_maps import instances_of_map, map_of_instances
from tests.examples import examples


@examples(50)
@given(arrays.arrays(np.uint8, (5, 7), elements=st.sampled_from([0, 1, 4, 9, 255])))
def test_every_id_above_zero_is_its_mask(numbers):
    instances, ids = instances_of_map(numbers)
    assert ids.tolist() == [number for number in np.unique(numbers) if number]
    for index, number in enumerate(ids):
        np.testing.assert_array_equal(instances.mask(index), numbers == number)
    assert (instances.class_ids == -1).all() and instances.shape == (5, 7)
    rank = {0: 0} | {number: place for place, number in enumerate(ids.tolist(), start=1)}
    assert map_of_instances(instances).tolist() == [[rank[number] for number in row] for row in numbers.tolist()]


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        (
            np.zeros((1, 4, 5), dtype=int),
            r"Expected an integer instance map \(H, W\), but got int64 of shape \(1, 4, 5\)",
        ),
        (np.zeros((4, 5)), r"Expected an integer instance map \(H, W\), but got float64"),
        (np.full((4, 5), -1), "Expected instance ids of at least 0, but got -1"),
    ],
)
def test_what_is_no_map_is_named(numbers, message):
    with pytest.raises(ValueError, match=message):
        instances_of_map(numbers)
