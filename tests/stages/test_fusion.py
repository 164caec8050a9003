from __future__ import annotations

import json

import numpy as np
import pytest

from mbps_dataset.stages.fusion import Panoptic, fuse
from mbps_dataset.stages.instances import Instances, split_by_depth
from tests.stages.instances.golden import THINGS_BY_NAME, load


def assert_is_reference(fused: Panoptic, expected_map: np.ndarray, expected_segments: np.ndarray) -> None:
    np.testing.assert_array_equal(fused.report_map(void=0), expected_map)
    expected = [
        (entry["category_id"], entry["isthing"], entry["area"], entry.get("score", 1.0))
        for entry in json.loads(str(expected_segments))
    ]
    assert [(s.class_id, s.isthing, s.area, round(s.score, 4)) for s in fused.segments] == expected


@pytest.mark.parametrize("scene", ["s0", "s2"])
@pytest.mark.parametrize("split", ["gtsplit", "attnsplit"])
def test_reproduces_reference_maps(scene: str, split: str) -> None:
    inputs, golden = load("depth_instances"), load("merge_and_fusion")
    semantic, things = inputs[f"{scene}/sem"], THINGS_BY_NAME[split]
    instances = split_by_depth(semantic, inputs[f"{scene}/depth"], things)
    fused = fuse(semantic, instances, things)
    assert_is_reference(fused, golden[f"{scene}/{split}/panoptic"], golden[f"{scene}/{split}/segments_json"])


@pytest.mark.parametrize("suffix", ["", "_noinst"])
def test_reproduces_reference_crafted_case(suffix: str) -> None:
    golden = load("merge_and_fusion")
    masks = golden["crafted/masks_in"].reshape(-1, 48, 80)
    instances = Instances.empty((48, 80)) if suffix else Instances(masks, scores=golden["crafted/scores_in"])
    fused = fuse(golden["crafted/sem"], instances, THINGS_BY_NAME["gtsplit"])
    assert_is_reference(fused, golden[f"crafted/panoptic{suffix}"], golden[f"crafted/segments{suffix}_json"])
