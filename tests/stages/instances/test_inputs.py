from __future__ import annotations

import numpy as np
import pytest

from mbps_dataset.stages.instances.inputs import depth_map, semantic_map, thing_ids, void_id


@pytest.mark.parametrize(
    "given, kept",
    [(np.uint8, np.uint8), (np.uint16, np.uint16), (np.int8, np.int32), (np.int64, np.int32), (np.uint64, np.int32)],
)
def test_stored_types_stay_and_others_become_int32(given: type, kept: type) -> None:
    labels = semantic_map(np.ones((2, 3), given, order="F"))
    assert labels.dtype == kept and labels.flags.c_contiguous


def test_void_depends_on_the_width_of_the_map() -> None:
    assert void_id(np.zeros((1, 1), np.uint8), None) == 255
    assert void_id(np.zeros((1, 1), np.uint16), None) == 65535
    assert void_id(np.full((1, 1), 255, np.int32), None) == 255
    assert void_id(np.full((1, 1), 300, np.int32), 300) == 300
    with pytest.raises(ValueError, match="`semantic` is int32 with ids up to 256: which id is void"):
        void_id(np.full((1, 1), 256, np.int32), None)
    with pytest.raises(ValueError, match="Expected `void` to be an id that fits uint8, but got -1"):
        void_id(np.zeros((1, 1), np.uint8), -1)


def test_things_are_sorted_and_told_once() -> None:
    assert thing_ids(iter([13, 11, 13])).tolist() == [11, 13]
    assert thing_ids(np.array([], dtype=np.int64)).tolist() == []


def test_integer_depth_becomes_floating_point() -> None:
    assert depth_map(np.ones((2, 3), np.uint16), (2, 3)).dtype == np.float64
    assert depth_map(np.ones((2, 3), np.float32), (2, 3)).dtype == np.float32
