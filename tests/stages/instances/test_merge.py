from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbps_dataset.stages.instances import Instances, merge_by_depth, split_by_depth
from tests.examples import examples
from tests.stages.instances import full_frame_oracle as oracle
from tests.stages.instances.golden import THINGS_BY_NAME, load, unpack
from tests.stages.instances.scenes import THINGS, fragmented_street


@pytest.mark.parametrize("scene", ["s0", "s2"])
@pytest.mark.parametrize("gap", ["0.05", "0.15"])
def test_reproduces_reference_vectors_of_merges(scene: str, gap: str) -> None:
    inputs, golden = load("depth_instances"), load("merge_and_fusion")
    semantic, depth = inputs[f"{scene}/sem"], inputs[f"{scene}/depth"]
    instances = split_by_depth(semantic, depth, THINGS, grad_threshold=0.05, min_area=100)
    merged = merge_by_depth(instances, semantic, depth, THINGS, max_depth_gap=float(gap))
    expected = unpack(golden[f"{scene}/merge_delta{gap}/masks_packed"], *semantic.shape)
    np.testing.assert_array_equal(merged.masks(), expected)
    np.testing.assert_array_equal(merged.scores.astype(np.float32), golden[f"{scene}/merge_delta{gap}/score"])


def test_reproduces_reference_vectors_of_chain_of_merges() -> None:
    golden = load("merge_and_fusion")
    instances = Instances(golden["crafted/masks_in"].reshape(-1, 48, 80), scores=golden["crafted/scores_in"])
    merged = merge_by_depth(instances, golden["crafted/sem"], golden["crafted/depth"], THINGS_BY_NAME["gtsplit"])
    np.testing.assert_array_equal(merged.masks(), golden["crafted/masks_out"].reshape(-1, 48, 80).astype(bool))
    np.testing.assert_array_equal(merged.scores, golden["crafted/scores_out"])
    assert merged.class_ids.tolist() == [13, 13, 13, 11, 11]


def boxes_in_a_row(*columns: tuple[int, int]) -> np.ndarray:
    masks = np.zeros((len(columns), 6, 20), dtype=bool)
    for mask, (left, right) in zip(masks, columns):
        mask[1:5, left:right] = True
    return masks


def test_a_gap_of_exactly_the_limit_is_not_merged() -> None:
    depth = np.zeros((6, 20))
    depth[:, 5:] = 0.25
    instances = Instances(boxes_in_a_row((0, 5), (5, 10)), [13, 13])
    semantic = np.full((6, 20), 13, np.uint8)
    assert len(merge_by_depth(instances, semantic, depth, [13], max_depth_gap=0.25, min_area=0)) == 2
    assert len(merge_by_depth(instances, semantic, depth, [13], max_depth_gap=0.2501, min_area=0)) == 1


def test_small_unions_go_and_small_singles_stay() -> None:
    semantic = np.full((6, 20), 13, np.uint8)
    instances = Instances(boxes_in_a_row((0, 5), (5, 10), (15, 16)), scores=[0.5, 0.9, 0.1])
    merged = merge_by_depth(instances, semantic, np.zeros((6, 20)), [13], min_area=41)
    np.testing.assert_array_equal(merged.masks(), boxes_in_a_row((15, 16)))


def test_instances_of_other_classes_pass_through() -> None:
    semantic = np.full((6, 20), 2, np.uint8)
    instances = Instances(boxes_in_a_row((0, 5), (5, 10)), [2, 2], [0.3, 0.6])
    merged = merge_by_depth(instances, semantic, np.zeros((6, 20)), [13])
    np.testing.assert_array_equal(merged.masks(), boxes_in_a_row((5, 10), (0, 5)))


def test_no_instance_gives_no_instance() -> None:
    assert len(merge_by_depth(Instances.empty((6, 20)), np.zeros((6, 20), int), np.zeros((6, 20)), [13])) == 0


def test_names_the_sizes_that_differ() -> None:
    instances = Instances(boxes_in_a_row((0, 5)))
    with pytest.raises(ValueError, match=r"instances and `semantic` to share \(H, W\).*\(6, 20\) and \(6, 21\)"):
        merge_by_depth(instances, np.zeros((6, 21), int), np.zeros((6, 21)), [13])
    with pytest.raises(ValueError, match=r"`depth` and `semantic` to share"):
        merge_by_depth(instances, np.zeros((6, 20), int), np.zeros((6, 21)), [13])


@examples(15)
@given(st.integers(0, 10_000), st.sampled_from([0.02, 0.1, 0.3]), st.sampled_from([0, 30, 90]))
def test_equals_the_full_frame_oracle_on_fragmented_scenes(seed: int, gap: float, min_area: int) -> None:
    semantic, depth = fragmented_street(seed, 64, 96, cell=7)
    split = {"grad_threshold": 0.4, "min_area": 5}
    merged = merge_by_depth(
        split_by_depth(semantic, depth, THINGS, **split), semantic, depth, THINGS, max_depth_gap=gap, min_area=min_area
    )
    masks, class_ids, scores = oracle.merge_by_depth(
        oracle.split_by_depth(semantic, depth, THINGS, **split),
        semantic,
        depth,
        THINGS,
        max_depth_gap=gap,
        min_area=min_area,
    )
    np.testing.assert_array_equal(merged.masks(), np.array(masks).reshape(merged.masks().shape))
    np.testing.assert_array_equal(merged.class_ids, class_ids)
    np.testing.assert_array_equal(merged.scores, scores)


@examples(15)
@given(st.integers(0, 10_000))
def test_equals_the_oracle_on_masks_that_overlap_anyhow(seed: int) -> None:
    random = np.random.default_rng(seed)
    semantic = random.choice(np.array([0, 11, 13], np.uint8), size=(20, 24))
    depth = random.random((20, 24))
    masks = np.zeros((9, 20, 24), dtype=bool)
    for mask in masks:
        top, left = random.integers(0, 14), random.integers(0, 18)
        mask[top : top + random.integers(1, 9), left : left + random.integers(1, 9)] = True
    scores = random.permutation(9) / 9
    merged = merge_by_depth(Instances(masks, scores=scores), semantic, depth, [11, 13], max_depth_gap=0.1, min_area=10)
    expected, class_ids, best = oracle.merge_by_depth(
        (list(masks), [-1] * 9, scores.tolist()), semantic, depth, [11, 13], max_depth_gap=0.1, min_area=10
    )
    np.testing.assert_array_equal(merged.masks(), np.array(expected))
    np.testing.assert_array_equal(merged.class_ids, class_ids)
    np.testing.assert_array_equal(merged.scores, best)
