"""What every instance method, merging and fusion make of the pictures at the edge: defined results or a clear error."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbps_dataset.stages.fusion import fuse
from mbps_dataset.stages.instances import (
    Instances,
    connected_components,
    merge_by_depth,
    split_by_depth,
    split_by_detections,
    watershed_by_depth,
    with_leftover_components,
)
from tests.examples import examples
from tests.stages.instances.cuts import maskcut, tokencut, votecut
from tests.stages.instances.scenes import THINGS, fragmented_street


Method = Callable[[np.ndarray, tuple[int, ...]], Instances]

FEATURES = np.random.default_rng(0).normal(size=(6, 8, 4))


# Without growing, which lets neighbours overlap: here they are counted.
split_cores = partial(split_by_depth, dilation=0)


def everything(shape: tuple[int, ...]) -> Instances:
    return Instances(np.ones((1, *shape), dtype=bool))


METHODS: dict[str, Method] = {
    "depth gradient": lambda semantic, things: split_cores(semantic, ramp(semantic), things, min_area=1),
    "watershed": lambda semantic, things: watershed_by_depth(semantic, ramp(semantic), things, min_area=1),
    "connected components": lambda semantic, things: connected_components(semantic, None, things, min_area=1),
    "fallback": lambda semantic, things: with_leftover_components(
        Instances.empty(semantic.shape), semantic, things, min_area=1
    ),
    "maskcut": lambda semantic, things: maskcut(semantic, FEATURES, things),
    "tokencut": lambda semantic, things: tokencut(semantic, FEATURES, things),
    "votecut": lambda semantic, things: votecut(semantic, [FEATURES, FEATURES[:5]], things),
    "detections": lambda semantic, things: split_by_detections(semantic, everything(semantic.shape), things),
}
OF_REGIONS = ("depth gradient", "watershed", "connected components", "fallback")
OF_DEPTH = {"depth gradient": split_cores, "watershed": watershed_by_depth}


def ramp(semantic: np.ndarray) -> np.ndarray:
    """Depth that falls gently from left to right: no edge anywhere."""
    return np.broadcast_to(np.linspace(0.4, 0.5, semantic.shape[1]), semantic.shape)


def fused(semantic: np.ndarray, found: Instances, things: tuple[int, ...], order: str):
    merged = merge_by_depth(found, semantic, ramp(semantic), things)
    return fuse(semantic, merged, things, order=order, min_stuff_area=1, min_instance_area=1)


@pytest.fixture(params=METHODS, ids=str)
def method(request: pytest.FixtureRequest) -> Method:
    return METHODS[request.param]


@pytest.fixture(params=["report", "evaluator", "overwrite"])
def order(request: pytest.FixtureRequest) -> str:
    return request.param


def test_everything_void(method: Method, order: str) -> None:
    semantic = np.full((24, 32), 255, np.uint8)
    found = method(semantic, THINGS)
    assert len(found) == 0 and found.shape == semantic.shape
    assert fused(semantic, found, THINGS, order).segments == ()


def test_no_things(method: Method, order: str) -> None:
    semantic = np.zeros((24, 32), np.uint8)
    semantic[5:15, 5:20] = 13
    for things in ((), (18,)):
        found = method(semantic, things)
        assert len(found) == 0
        segments = fused(semantic, found, things, order).segments
        assert [(s.class_id, s.isthing) for s in segments] == [(0, False), (13, False)]


def test_only_stuff_in_the_picture(method: Method, order: str) -> None:
    semantic = np.zeros((24, 32), np.uint8)
    assert len(method(semantic, THINGS)) == 0
    assert [s.area for s in fused(semantic, method(semantic, THINGS), THINGS, order).segments] == [24 * 32]


def test_one_thing_fills_the_picture(method: Method, order: str) -> None:
    semantic = np.full((24, 32), 13, np.uint8)
    found = method(semantic, THINGS)
    assert set(found.class_ids.tolist()) <= {13}
    panoptic = fused(semantic, found, THINGS, order)
    assert all(segment.isthing and segment.class_id == 13 for segment in panoptic.segments)
    if any(METHODS[name] is method for name in (*OF_REGIONS, "detections")):
        assert found.areas.tolist() == [24 * 32] and len(panoptic.segments) == 1


@pytest.mark.parametrize("name", OF_REGIONS)
def test_a_map_without_pixels(name: str) -> None:
    semantic = np.zeros((0, 5), np.uint8)
    found = METHODS[name](semantic, THINGS)
    assert len(found) == 0 and fuse(semantic, found, THINGS).segments == ()


@pytest.mark.parametrize("name", OF_DEPTH)
def test_depth_that_cannot_be_used_is_named(name: str) -> None:
    semantic = np.full((5, 7), 13, np.uint8)
    with pytest.raises(ValueError, match="`depth` to be finite, but 35 of 35 pixels are NaN"):
        OF_DEPTH[name](semantic, np.full((5, 7), np.nan), THINGS, min_area=1)
    with pytest.raises(ValueError, match=r"`depth` and `semantic` to share \(H, W\), but got \(5, 8\) and \(5, 7\)"):
        OF_DEPTH[name](semantic, np.zeros((5, 8)), THINGS, min_area=1)
    with pytest.raises(ValueError, match="finite|NaN"):
        merge_by_depth(everything((5, 7)), semantic, np.full((5, 7), np.nan), THINGS)


@pytest.mark.parametrize("name", OF_DEPTH)
def test_constant_depth_leaves_the_components(name: str) -> None:
    semantic, _ = fragmented_street(0, 64, 96)
    found = OF_DEPTH[name](semantic, np.full((64, 96), 0.5), THINGS, min_area=5)
    plain = connected_components(semantic, None, THINGS, min_area=5)
    assert sorted(found.areas.tolist()) == sorted(plain.areas.tolist())


@pytest.mark.parametrize("name", OF_REGIONS)
def test_seventy_thousand_components(name: str) -> None:
    semantic = np.zeros((512, 1024), np.uint8)
    semantic[::2, ::4] = 13
    semantic[::2, 2::8] = 11
    found = METHODS[name](semantic, THINGS)
    assert len(found) == 256 * 256 + 256 * 128 > 70_000 and (found.areas == 1).all()
    apart = merge_by_depth(found, semantic, ramp(semantic), THINGS, min_area=1)
    assert len(apart) == len(found)  # none touches another of its class
    panoptic = fuse(semantic, apart, THINGS, min_instance_area=1)
    assert len(panoptic.segments) == len(found) + 1
    np.testing.assert_array_equal(panoptic.semantic(), semantic)


@examples(20)
@given(st.integers(0, 10_000), st.sampled_from(OF_REGIONS[:3]), st.integers(1, 40), st.integers(0, 2))
def test_instances_are_large_enough_parts_of_their_class(seed: int, name: str, min_area: int, order: int) -> None:
    semantic, depth = fragmented_street(seed, 64, 96, cell=9)
    cut = {"depth gradient": split_by_depth, "watershed": watershed_by_depth}.get(name)
    found = (
        connected_components(semantic, None, THINGS, min_area=min_area)
        if cut is None
        else cut(semantic, depth, THINGS, grad_threshold=0.3, min_area=min_area)
    )
    for class_id, mask in zip(found.class_ids, found.masks()):
        assert (semantic[mask] == class_id).all() and mask.sum() >= min_area
    panoptic = fuse(semantic, found, THINGS, order=("report", "evaluator", "overwrite")[order])
    assert sum(segment.area for segment in panoptic.segments) == (panoptic.segment_map > 0).sum()
