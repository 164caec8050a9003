from __future__ import annotations

import json
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbps_dataset.stages.fusion import Panoptic, fuse
from mbps_dataset.stages.instances import Instances, connected_components, split_by_depth
from mbps_dataset.taxonomy import LABEL_ID_TO_TRAIN_ID
from tests.examples import examples
from tests.stages.instances import full_frame_oracle as oracle
from tests.stages.instances.golden import THINGS_BY_NAME, load
from tests.stages.instances.scenes import THINGS


def assert_is_reference(fused: Panoptic, expected_map: np.ndarray, expected_segments: np.ndarray) -> None:
    np.testing.assert_array_equal(fused.report_map(void=0), expected_map)
    expected = [
        (entry["category_id"], entry["isthing"], entry["area"], entry.get("score", 1.0))
        for entry in json.loads(str(expected_segments))
    ]
    assert [(s.class_id, s.isthing, s.area, round(s.score, 4)) for s in fused.segments] == expected


@pytest.mark.parametrize("scene", ["s0", "s2"])
@pytest.mark.parametrize("split", ["gtsplit", "attnsplit"])
def test_reproduces_reference_vectors_of_maps(scene: str, split: str) -> None:
    inputs, golden = load("depth_instances"), load("merge_and_fusion")
    semantic, things = inputs[f"{scene}/sem"], THINGS_BY_NAME[split]
    instances = split_by_depth(semantic, inputs[f"{scene}/depth"], things)
    fused = fuse(semantic, instances, things)
    assert_is_reference(fused, golden[f"{scene}/{split}/panoptic"], golden[f"{scene}/{split}/segments_json"])


@pytest.mark.parametrize("suffix", ["", "_noinst"])
def test_reproduces_reference_vectors_of_crafted_case(suffix: str) -> None:
    golden = load("merge_and_fusion")
    masks = golden["crafted/masks_in"].reshape(-1, 48, 80)
    instances = Instances.empty((48, 80)) if suffix else Instances(masks, scores=golden["crafted/scores_in"])
    fused = fuse(golden["crafted/sem"], instances, THINGS_BY_NAME["gtsplit"])
    assert_is_reference(fused, golden[f"crafted/panoptic{suffix}"], golden[f"crafted/segments{suffix}_json"])


def true_segments(golden: dict[str, np.ndarray], scene: str) -> list[tuple[int, np.ndarray]]:
    """Class and mask of each true segment: stuff of at least 64 pixels, things of at least 10, groups left out."""
    train_ids, instance_ids = LABEL_ID_TO_TRAIN_ID[golden[f"{scene}/gt_labelIds"]], golden[f"{scene}/gt_instanceIds"]
    found = [(class_id, train_ids == class_id) for class_id in range(11) if (train_ids == class_id).sum() >= 64]
    for instance_id in np.unique(instance_ids[instance_ids >= 1000]):
        mask, class_id = instance_ids == instance_id, int(LABEL_ID_TO_TRAIN_ID[instance_id // 1000])
        if class_id in THINGS and mask.sum() >= 10:
            found.append((class_id, mask))
    return found


def count_matches(fused: Panoptic, truth: list[tuple[int, np.ndarray]]) -> dict[str, np.ndarray]:
    """True and false positives, misses and IoU sums per class, each true segment taking its best free match."""
    counts = {name: np.zeros(19) for name in ("tp", "fp", "fn", "iou_sum")}
    free = {segment.id: segment.class_id for segment in fused.segments}
    for class_id, mask in truth:
        predictions = {number: fused.segment_map == number for number, c in free.items() if c == class_id}
        overlaps = {number: (mask & p).sum() / (mask | p).sum() for number, p in predictions.items()}
        best = max(overlaps, key=overlaps.get, default=None)
        if best is None or overlaps[best] <= 0.5:
            counts["fn"][class_id] += 1
            continue
        counts["tp"][class_id] += 1
        counts["iou_sum"][class_id] += overlaps[best]
        del free[best]
    for class_id in free.values():
        counts["fp"][class_id] += 1
    return counts


@pytest.mark.parametrize("scene", ["s0", "s2"])
@pytest.mark.parametrize("method", ["sweep", "cc"])
def test_the_evaluators_order_gives_the_counts_of_the_reference_evaluator_by_vectors(scene: str, method: str) -> None:
    inputs, golden = load("depth_instances"), load("pq_eval")
    semantic, depth = inputs[f"{scene}/sem"], inputs[f"{scene}/depth"]
    if method == "sweep":
        instances = split_by_depth(semantic, depth, THINGS, grad_threshold=0.20, min_area=1000)
    else:
        instances = connected_components(semantic, depth, THINGS, min_area=10)
    counts = count_matches(fuse(semantic, instances, THINGS, order="evaluator"), true_segments(golden, scene))
    for name, values in counts.items():
        np.testing.assert_allclose(values, golden[f"{scene}/{method}_{name}"], rtol=0, atol=1e-9)


def partition(fused: Panoptic) -> set[tuple[int, bool, bytes]]:
    """Class, kind and mask of each segment, in no order."""
    return {(s.class_id, s.isthing, (fused.segment_map == s.id).tobytes()) for s in fused.segments}


def things_of(fused: Panoptic) -> Instances:
    """The things of a fused map, as instances."""
    things = [segment for segment in fused.segments if segment.isthing]
    masks = np.array([fused.segment_map == segment.id for segment in things])
    return Instances(
        masks.reshape(-1, *fused.segment_map.shape), [s.class_id for s in things], [s.score for s in things]
    )


@st.composite
def scenes(draw: st.DrawFn) -> tuple[np.ndarray, Instances]:
    random = np.random.default_rng(draw(st.integers(0, 10_000)))
    semantic = random.choice(np.array([0, 2, 11, 13, 255], np.uint8), size=(6, 8))
    semantic = np.kron(semantic, np.ones((4, 3), np.uint8))
    masks = np.zeros((draw(st.integers(0, 8)), *semantic.shape), dtype=bool)
    for mask in masks:
        top, left = random.integers(0, 20), random.integers(0, 20)
        mask[top : top + random.integers(1, 12), left : left + random.integers(1, 12)] = True
    return semantic, Instances(masks, scores=random.permutation(len(masks)).astype(float))


ORDERS = st.sampled_from(["report", "evaluator", "overwrite"])


@examples(80)
@given(scenes(), ORDERS, st.integers(0, 40), st.integers(0, 25))
def test_equals_the_full_frame_oracle(
    scene: tuple[np.ndarray, Instances], order: str, min_stuff_area: int, min_instance_area: int
) -> None:
    semantic, instances = scene
    areas = {"min_stuff_area": min_stuff_area, "min_instance_area": min_instance_area}
    fused = fuse(semantic, instances, THINGS, order=order, **areas)
    found = list(instances.masks()), [], instances.scores.tolist()
    segment_map, segments = oracle.fuse(found, semantic, THINGS, order=order, **areas)
    shown = [number for number in range(1, len(segments) + 1) if (segment_map == number).any()]
    renumbered = np.searchsorted(shown, segment_map) + 1
    np.testing.assert_array_equal(fused.segment_map, np.where(segment_map > 0, renumbered, 0))
    assert [(s.class_id, s.isthing, s.score) for s in fused.segments] == [segments[number - 1] for number in shown]


@examples(40)
@given(scenes(), st.sampled_from(["report", "evaluator"]), st.integers(0, 40), st.integers(1, 25))
def test_is_idempotent_and_covers_no_pixel_twice(
    scene: tuple[np.ndarray, Instances], order: str, min_stuff_area: int, min_instance_area: int
) -> None:
    """The third order is not: what it overwrites may fall below the smallest area."""
    semantic, instances = scene
    asked = {"min_stuff_area": min_stuff_area, "min_instance_area": min_instance_area, "order": order}
    fused = fuse(semantic, instances, THINGS, **asked)
    assert sum(segment.area for segment in fused.segments) == (fused.segment_map > 0).sum()
    again = fuse(fused.semantic(), things_of(fused), THINGS, **asked)
    assert partition(again) == partition(fused)


def has_clear_majority(semantic: np.ndarray, mask: np.ndarray) -> bool:
    """Whether no tie decides the class: ties go to the lower id, which renumbering changes."""
    votes = np.bincount(semantic[mask], minlength=256)[:255]
    return len(set(np.sort(votes)[-2:].tolist())) == 2


@examples(30)
@given(scenes(), ORDERS, st.integers(0, 1000))
def test_commutes_with_renumbering_the_classes(scene: tuple[np.ndarray, Instances], order: str, seed: int) -> None:
    semantic, instances = scene
    names = np.random.default_rng(seed).permutation(300).tolist()
    masks = [mask for mask in instances.masks() if has_clear_majority(semantic, mask)]
    instances = Instances(np.array(masks).reshape(-1, *semantic.shape), scores=range(len(masks)))
    renumbered = np.array(names + [65535], dtype=np.uint16)[np.where(semantic == 255, np.uint16(300), semantic)]
    fused = fuse(semantic, instances, [11, 13], order=order)
    again = fuse(renumbered, instances, [names[11], names[13]], order=order)
    assert partition(again) == {(names[class_id], *rest) for class_id, *rest in partition(fused)}


def test_void_is_not_road() -> None:
    semantic = np.array([[0, 0, 255, 255]], dtype=np.uint8)
    fused = fuse(semantic, Instances.empty((1, 4)), THINGS, min_stuff_area=0)
    assert fused.segment_map.tolist() == [[1, 1, 0, 0]]
    assert fused.report_map().tolist() == [[0, 0, 255000, 255000]]
    assert fused.semantic().tolist() == [[0, 0, 255, 255]]


def test_void_of_other_widths() -> None:
    semantic = np.array([[255, 255, 65535, 300]], dtype=np.uint16)
    empty = Instances.empty((1, 4))
    assert [s.class_id for s in fuse(semantic, empty, [], min_stuff_area=0).segments] == [255, 300]
    assert [s.class_id for s in fuse(semantic, empty, [], min_stuff_area=0, void=300).segments] == [255, 65535]
    assert len(fuse(np.array([[254, 255]], np.uint8), Instances.empty((1, 2)), [], min_stuff_area=0).segments) == 1
    with pytest.raises(ValueError, match="which id is void"):
        fuse(semantic.astype(np.int64), empty, [])
    with pytest.raises(ValueError, match="`void` to be an id that fits uint8, but got 300"):
        fuse(np.zeros((1, 4), np.uint8), empty, [], void=300)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16, np.uint32, np.int64, np.uint64])
def test_every_integer_type_gives_the_same_map(dtype: type) -> None:
    semantic = np.zeros((10, 20), dtype)
    semantic[:4, :4] = 13
    fused = fuse(semantic, Instances(semantic[None] > 0), THINGS)
    assert [(s.class_id, s.area) for s in fused.segments] == [(13, 16), (0, 184)]


def test_small_stuff_and_small_things_become_void() -> None:
    semantic = np.full((10, 20), 2, np.uint8)
    semantic[:, :6] = 0
    semantic[0, :5] = 13
    fused = fuse(semantic, Instances.empty((10, 20)), THINGS, min_stuff_area=56, min_instance_area=6)
    assert [(s.class_id, s.area) for s in fused.segments] == [(2, 140)]
    fused = fuse(semantic, Instances.empty((10, 20)), THINGS, min_stuff_area=55, min_instance_area=5)
    assert [(s.class_id, s.area, s.score) for s in fused.segments] == [(0, 55, 1.0), (2, 140, 1.0), (13, 5, 0.1)]


def test_what_is_left_of_the_things_is_up_to_the_caller() -> None:
    semantic = np.full((10, 20), 13, np.uint8)
    empty = Instances.empty((10, 20))
    assert len(fuse(semantic, empty, THINGS).segments) == 1
    assert len(fuse(semantic, empty, THINGS, fallback_min_area=201).segments) == 0
    assert len(fuse(semantic, empty, THINGS, fallback_min_area=math.inf).segments) == 0
    assert len(fuse(semantic, empty, THINGS, order="evaluator").segments) == 0
    assert len(fuse(semantic, empty, THINGS, order="overwrite", fallback_min_area=200).segments) == 1


def test_a_mask_the_first_leaves_too_small_goes_to_the_next() -> None:
    semantic = np.full((1, 40), 13, np.uint8)
    masks = np.zeros((3, 1, 40), dtype=bool)
    masks[0, 0, :20] = masks[1, 0, 15:25] = masks[2, 0, 20:40] = True
    fused = fuse(semantic, Instances(masks, scores=[0.9, 0.8, 0.7]), THINGS, min_instance_area=10)
    assert [(s.area, s.score) for s in fused.segments] == [(20, 0.9), (20, 0.7)]


def test_a_thousand_and_a_half_cars_stay_cars() -> None:
    semantic = np.zeros((64, 300), np.uint8)
    semantic[::2, ::3] = 13
    semantic[1::2, 1::3] = 14
    fused = fuse(semantic, Instances.empty((64, 300)), THINGS, min_instance_area=1)
    per_class = Counter(segment.class_id for segment in fused.segments)
    assert per_class == {0: 1, 13: 3200, 14: 3200}
    np.testing.assert_array_equal(fused.semantic(), semantic)


def test_all_void_and_no_things() -> None:
    void = np.full((8, 9), 255, np.uint8)
    assert fuse(void, Instances.empty((8, 9)), THINGS).segments == ()
    assert fuse(void, Instances(np.ones((1, 8, 9))), THINGS).segments == ()
    stuff_only = fuse(np.full((8, 9), 13, np.uint8), Instances(np.ones((1, 8, 9))), [])
    assert [(s.class_id, s.isthing) for s in stuff_only.segments] == [(13, False)]


def test_says_what_is_wrong() -> None:
    empty = Instances.empty((8, 9))
    with pytest.raises(ValueError, match="Unknown fusion order 'best'; choose report, evaluator or overwrite"):
        fuse(np.zeros((8, 9), np.uint8), empty, THINGS, order="best")
    with pytest.raises(ValueError, match=r"share \(H, W\), but got \(8, 9\) and \(8, 8\)"):
        fuse(np.zeros((8, 8), np.uint8), empty, THINGS)
    with pytest.raises(ValueError, match="`things` lists 255, which is the void id"):
        fuse(np.zeros((8, 9), np.uint8), empty, [255])
