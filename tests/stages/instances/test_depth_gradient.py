from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from mbps_dataset.stages.instances import Instances, connected_components, split_by_depth
from tests.examples import examples
from tests.stages.instances import full_frame_oracle as oracle
from tests.stages.instances.golden import THINGS_BY_NAME, load, unpack
from tests.stages.instances.scenes import THINGS, fragmented_street


CASES = sorted(key.removesuffix("/masks_packed") for key in load("depth_instances") if key.endswith("/masks_packed"))


def settings_of(case: str) -> dict[str, float]:
    found = re.search(r"tau([\d.]+)_A(\d+)(?:_d(\d)_s(\d))?$", case)
    tau, area, dilation, sigma = found.groups()
    return {
        "grad_threshold": float(tau),
        "min_area": int(area),
        "dilation": int(dilation or 3),
        "sigma": float(sigma or 1),
    }


@pytest.mark.parametrize("case", CASES)
def test_reproduces_reference_vectors_of_instances(case: str) -> None:
    golden = load("depth_instances")
    scene = case.split("/")[0]
    semantic = golden[f"{scene}/sem"]
    things = THINGS_BY_NAME["attnsplit" if "attnsplit" in case else "gtsplit"]
    found = split_by_depth(semantic, golden[f"{scene}/depth"], things, **settings_of(case))
    np.testing.assert_array_equal(found.masks(), unpack(golden[f"{case}/masks_packed"], *semantic.shape))
    np.testing.assert_array_equal(found.class_ids, golden[f"{case}/class"])
    np.testing.assert_allclose(found.scores, golden[f"{case}/score"], rtol=0, atol=1e-12)


@pytest.mark.parametrize("case, sigma, tau", [("tie", 1.0, 0.3), ("tie_sigma0", 0.0, 0.1)])
def test_reproduces_reference_vectors_of_order_of_equal_areas(case: str, sigma: float, tau: float) -> None:
    golden = load("depth_instances")
    found = split_by_depth(
        golden["tie/sem"], golden["tie/depth"], THINGS, grad_threshold=tau, min_area=50, sigma=sigma
    )
    np.testing.assert_array_equal(found.masks(), golden[f"{case}/masks"].astype(bool))
    np.testing.assert_array_equal(found.class_ids, golden[f"{case}/class"])
    np.testing.assert_allclose(found.scores, golden[f"{case}/score"], rtol=0, atol=1e-12)


def test_no_thing_pixel_gives_no_instance() -> None:
    found = split_by_depth(np.zeros((8, 9), np.uint8), np.zeros((8, 9), np.float32), THINGS)
    assert len(found) == load("depth_instances")["empty/n"] == 0
    assert found.masks().shape == (0, 8, 9)


def split_set(instances: Instances) -> list[tuple[int, bytes]]:
    """Class and mask of each instance, in an order that does not depend on theirs."""
    return sorted((int(c), mask.tobytes()) for c, mask in zip(instances.class_ids, instances.masks()))


@examples(25)
@given(st.integers(0, 10_000), st.sampled_from([0, 5, 25]), st.integers(0, 4), st.sampled_from([0.0, 1.0]))
def test_equals_the_full_frame_oracle(seed: int, min_area: int, dilation: int, sigma: float) -> None:
    semantic, depth = fragmented_street(seed, 64, 96, cell=9)
    asked = {"grad_threshold": 0.3, "min_area": min_area, "dilation": dilation, "sigma": sigma}
    found = split_by_depth(semantic, depth, THINGS, **asked)
    masks, class_ids, scores = oracle.split_by_depth(semantic, depth, THINGS, **asked)
    np.testing.assert_array_equal(found.masks(), np.array(masks).reshape(-1, 64, 96))
    np.testing.assert_array_equal(found.class_ids, class_ids)
    np.testing.assert_array_equal(found.scores, scores)


@examples(20)
@given(st.integers(0, 10_000), st.integers(1, 40))
def test_instances_are_large_enough_parts_of_their_class(seed: int, min_area: int) -> None:
    semantic, depth = fragmented_street(seed, 64, 96, cell=9)
    found = split_by_depth(semantic, depth, THINGS, grad_threshold=0.3, min_area=min_area)
    for class_id, mask in zip(found.class_ids, found.masks()):
        assert (semantic[mask] == class_id).all()
        assert mask.sum() >= min_area
    assert (np.diff(found.areas) <= 0).all() and (np.diff(found.scores) <= 0).all()
    assert not len(found) or found.scores[0] == 1.0


def test_neighbours_overlap_by_at_most_the_dilation() -> None:
    semantic, depth = fragmented_street(3, 96, 128, cell=11)
    grown = split_by_depth(semantic, depth, THINGS, grad_threshold=0.3, min_area=10, dilation=3)
    assert (grown.masks().sum(axis=0) > 1).any()
    cores = split_by_depth(semantic, depth, THINGS, grad_threshold=0.3, min_area=10, dilation=0)
    assert cores.masks().sum(axis=0).max() == 1
    reach = ndimage.binary_dilation(cores.masks(), np.ones((1, 3, 3)) * ndimage.generate_binary_structure(2, 1), 3)
    for class_id, mask in zip(grown.class_ids, grown.masks()):
        assert any(((mask & ~near).sum() == 0) for near in reach[cores.class_ids == class_id])


@examples(15)
@given(st.integers(0, 10_000), st.tuples(*[st.integers(6, 12)] * 4))
def test_commutes_with_padding(seed: int, pad: tuple[int, int, int, int]) -> None:
    semantic, depth = fragmented_street(seed, 40, 56, cell=9)
    margins = (pad[:2], pad[2:])
    asked = {"grad_threshold": 0.3, "min_area": 8}
    padded = split_by_depth(
        np.pad(semantic, margins, constant_values=255), np.pad(depth, margins, mode="symmetric"), THINGS, **asked
    )
    found = split_by_depth(semantic, depth, THINGS, **asked)
    inside = padded.masks()[:, pad[0] : pad[0] + 40, pad[2] : pad[2] + 56]
    np.testing.assert_array_equal(inside, found.masks())
    np.testing.assert_array_equal(padded.areas, found.areas)


@examples(15)
@given(st.integers(0, 10_000), st.integers(0, 1000))
def test_commutes_with_renumbering_the_classes(seed: int, order: int) -> None:
    names = np.random.default_rng(order).permutation(300).tolist()
    semantic, depth = fragmented_street(seed, 40, 56, cell=9)
    renumbered = np.array(names + [65535], dtype=np.uint16)[np.where(semantic == 255, np.uint16(300), semantic)]
    asked = {"grad_threshold": 0.3, "min_area": 8}
    found = split_by_depth(semantic, depth, THINGS, **asked)
    again = split_by_depth(renumbered, depth, [names[thing] for thing in THINGS], **asked)
    assert split_set(again) == split_set(found.replace(class_ids=np.array(names)[found.class_ids]))


def test_constant_depth_leaves_the_components() -> None:
    semantic, _ = fragmented_street(0, 64, 96)
    found = split_by_depth(semantic, np.full((64, 96), 0.5), THINGS, min_area=20, dilation=0)
    assert split_set(found) == split_set(connected_components(semantic, None, THINGS, min_area=20))


def test_one_thing_may_fill_the_image() -> None:
    found = split_by_depth(np.full((20, 30), 13, np.uint8), np.zeros((20, 30), np.float32), THINGS)
    assert found.masks().all() and found.class_ids.tolist() == [13] and found.scores.tolist() == [1.0]


@pytest.mark.parametrize("things", [(), (200,), (12,)])
def test_things_that_do_not_occur(things: tuple[int, ...]) -> None:
    semantic = np.full((20, 30), 13, np.uint8)
    assert len(split_by_depth(semantic, np.zeros((20, 30)), things)) == 0


def test_everything_void() -> None:
    assert len(split_by_depth(np.full((20, 30), 255, np.uint8), np.zeros((20, 30)), THINGS)) == 0


def test_seventy_thousand_components() -> None:
    semantic = np.zeros((512, 1024), np.uint8)
    semantic[::2, ::4] = 13
    semantic[::2, 2::8] = 11
    found = split_by_depth(semantic, np.zeros((512, 1024), np.float32), THINGS, min_area=1, dilation=0)
    assert len(found) == 256 * 256 + 256 * 128 > 70_000
    assert (found.areas == 1).all() and (found.scores == 1.0).all()
    assert found.class_ids[:32768].tolist() == [11] * 32768


def test_a_class_that_is_all_edge_gives_nothing() -> None:
    semantic = np.full((20, 30), 13, np.uint8)
    semantic[8:11, 10:13] = 11
    depth = np.tile(np.clip((np.arange(30) - 5) / 12, 0, 1), (20, 1))
    found = split_by_depth(semantic, depth, THINGS, min_area=1)
    assert set(found.class_ids.tolist()) == {13}


def test_takes_tensors_and_other_integers() -> None:
    golden = load("depth_instances")
    semantic, depth = golden["tie/sem"], golden["tie/depth"]
    expected = split_by_depth(semantic, depth, THINGS, min_area=50)
    for kind in (torch.from_numpy(semantic), semantic.astype(np.int64), np.asfortranarray(semantic)):
        found = split_by_depth(kind, torch.from_numpy(depth), THINGS, min_area=50)
        np.testing.assert_array_equal(found.masks(), expected.masks())


def test_inputs_are_not_changed() -> None:
    semantic, depth = fragmented_street(0, 64, 96)
    before = semantic.copy(), depth.copy()
    split_by_depth(semantic, depth, THINGS, min_area=5)
    np.testing.assert_array_equal(semantic, before[0])
    np.testing.assert_array_equal(depth, before[1])


def test_a_map_without_pixels() -> None:
    assert len(split_by_depth(np.zeros((0, 5), np.uint8), np.zeros((0, 5)), THINGS)) == 0


@pytest.mark.parametrize(
    "change, message",
    [
        ({"depth": np.zeros((5, 8))}, r"`depth` and `semantic` to share \(H, W\), but got \(5, 8\) and \(5, 7\)"),
        ({"depth": np.full((5, 7), np.nan)}, "`depth` to be finite, but 35 of 35 pixels are NaN or infinite"),
        ({"depth": np.full((5, 7), np.inf)}, "fill unknown depth"),
        ({"semantic": np.zeros((1, 5, 7), int)}, r"`semantic` to be \(H, W\), but got shape \(1, 5, 7\)"),
        ({"semantic": np.zeros((5, 7))}, "integer class ids, but got float64"),
        ({"semantic": np.full((5, 7), -1)}, "class ids of 0 to 65535 in `semantic`, but got -1 to -1"),
        ({"things": [-1, 3]}, "class ids of at least 0 in `things`, but got -1"),
        ({"min_area": -1}, "Expected `min_area` of at least 0, but got -1"),
        ({"dilation": -1}, "Expected `dilation` of at least 0"),
        ({"sigma": float("nan")}, "Expected `sigma` of at least 0, but got nan"),
    ],
)
def test_says_what_is_wrong(change: dict[str, object], message: str) -> None:
    arguments = {"semantic": np.zeros((5, 7), np.uint8), "depth": np.zeros((5, 7)), "things": [13], **change}
    with pytest.raises(ValueError, match=message):
        split_by_depth(**arguments)
