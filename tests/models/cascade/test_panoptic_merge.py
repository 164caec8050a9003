from __future__ import annotations

import json

import numpy as np
import pytest

from mbps_dataset.models.cascade.panoptic_merge import merge_panoptic
from mbps_dataset.stages.instances.types import Instances
from tests.models.cascade.drawn_weights import cascade_vectors, masks


CASES = (
    "ties", "stuff_limit", "stuff_limit_exact", "no_instances", "all_thing_semantic", "random", "random_tta"
)  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_segments_are_those_of_the_vector(case):
    vectors, _ = cascade_vectors("panoptic_merge")
    semantic = vectors[f"{case}/semantic"]
    score, overlap, area = vectors[f"{case}/params"].tolist()
    found = masks(vectors[f"{case}/masks_packed"], *semantic.shape).numpy()
    merged = merge_panoptic(
        Instances(found, vectors[f"{case}/classes"], vectors[f"{case}/scores"]),
        semantic,
        stuff_ids=range(1, 100),
        min_score=score,
        max_taken=overlap,
        min_stuff_area=int(area),
    )
    assert np.array_equal(merged.segment_map, vectors[f"{case}/panoptic"])
    listed = json.loads(str(vectors[f"{case}/segments_json"]))
    assert [(one.id, one.class_id, one.isthing) for one in merged.segments] == [
        (one["id"], one["category_id"], one["isthing"]) for one in listed
    ]
    assert [one.score for one in merged.segments] == [one.get("score", 1.0) for one in listed]


def test_stuff_takes_the_class_ids_it_is_given():
    semantic = np.array([[0, 1, 1], [2, 2, 0]])
    merged = merge_panoptic(Instances.empty((2, 3)), semantic, stuff_ids=(4, 9), min_stuff_area=2)
    assert merged.semantic().tolist() == [[255, 4, 4], [9, 9, 255]]


def test_sizes_that_differ_are_refused():
    with pytest.raises(ValueError, match=r"Expected one size, but got instances of \(2, 3\) and a map of \(3, 2\)"):
        merge_panoptic(Instances.empty((2, 3)), np.zeros((3, 2), dtype=int), stuff_ids=())
