from __future__ import annotations

import numpy as np
import pytest

from mbps_dataset.stages.instances import UNKNOWN_CLASS, Instances, vote_classes
from mbps_dataset.stages.instances.class_vote import majority_classes


SEMANTIC = np.array([[11, 11, 13, 13, 13, 255, 255, 255]], dtype=np.uint8)


def instances(*columns: slice) -> Instances:
    masks = np.zeros((len(columns), 1, 8), dtype=bool)
    for mask, chosen in zip(masks, columns):
        mask[:, chosen] = True
    return Instances(masks, scores=np.linspace(0.9, 0.5, len(columns)))


def test_the_majority_wins_and_a_tie_goes_to_the_lower_id() -> None:
    assert majority_classes(instances(slice(0, 5), slice(0, 4), slice(1, 3)), SEMANTIC).tolist() == [13, 11, 11]


def test_void_votes_only_where_it_may() -> None:
    over_void = instances(slice(3, 8), slice(5, 8), slice(0, 0))
    assert majority_classes(over_void, SEMANTIC).tolist() == [255, 255, UNKNOWN_CLASS]
    assert majority_classes(over_void, SEMANTIC, ignore=255).tolist() == [13, UNKNOWN_CLASS, UNKNOWN_CLASS]


def test_instances_over_void_alone_are_dropped() -> None:
    voted = vote_classes(instances(slice(5, 8), slice(0, 2), slice(2, 8)), SEMANTIC)
    assert voted.class_ids.tolist() == [11, 13]
    assert voted.scores.tolist() == [0.7, 0.5]


def test_sixteen_bit_void() -> None:
    semantic = SEMANTIC.astype(np.uint16)
    semantic[semantic == 255] = 65535
    semantic[0, 0] = 255
    assert vote_classes(instances(slice(0, 1), slice(5, 8)), semantic).class_ids.tolist() == [255]


def test_names_the_sizes_that_differ() -> None:
    with pytest.raises(ValueError, match=r"share \(H, W\), but got \(1, 8\) and \(1, 9\)"):
        vote_classes(instances(slice(0, 1)), np.zeros((1, 9), np.uint8))
