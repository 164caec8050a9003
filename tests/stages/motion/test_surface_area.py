from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mbps_dataset.stages.motion.surface_area import keep_large_surfaces, on_one_line, surface_area
from tests.examples import examples
from tests.vectors import load_vectors


def wall(height, width, metres_per_pixel=0.1, slope=0.0, depth=10.0):
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    z = depth + slope * metres_per_pixel * columns
    return np.stack([metres_per_pixel * columns, metres_per_pixel * rows, z], axis=-1)


def test_the_filter_is_that_of_the_reference_vectors():
    golden = load_vectors("cups/ens_pipeline")
    labels, points = golden["area/labels"], np.moveaxis(golden["area/points"], 0, -1)
    kept = keep_large_surfaces(labels, points, reference=True)
    ids, expected = np.unique(labels)[1:], golden["area/out"]
    stays = [number for number in ids if expected[labels == number].any()]
    close = []
    for number, area in zip(ids, golden["area/areas_restated"], strict=True):
        if not np.isnan(area):
            assert surface_area(points, labels == number, surface="hull") == pytest.approx(area, rel=0.02)
            # The diagonals of a grid are arbitrary.
            close += [number] if abs(area / 0.65 - 1) < 0.02 else []
    assert set(kept.ids) ^ set(stays) <= set(close) and kept.reason is None
    if kept.ids.tolist() == stays:
        np.testing.assert_array_equal(kept.labels, expected)


@examples(40)
@given(st.integers(2, 12), st.integers(2, 12), st.floats(0.01, 1), st.floats(-2, 2))
def test_a_wall_has_its_area_either_way(height, width, metres, slope):
    points = wall(height, width, metres, slope, depth=100.0)
    true = metres**2 * (height - 1) * (width - 1) * np.hypot(1, slope)
    whole = np.ones((height, width), dtype=bool)
    for surface in ("mesh", "hull"):
        assert surface_area(points, whole, surface=surface) == pytest.approx(true, rel=1e-3)


def test_only_the_hull_bridges_gaps():
    points, corner = wall(20, 20), np.zeros((20, 20), dtype=bool)
    corner[:, :5] = corner[15:] = True
    assert surface_area(points, corner, surface="mesh") == pytest.approx(0.01 * (19 * 4 + 4 * 15 + 0.5), rel=1e-5)
    assert surface_area(points, corner, surface="hull") > 2.3


def test_only_the_hull_takes_an_unknown_depth_for_a_point():
    points, whole = wall(20, 20), np.ones((20, 20), dtype=bool)
    points[10, 10] = 0
    assert surface_area(points, whole, surface="mesh") == pytest.approx(0.01 * (19 * 19 - 4 * 0.5), rel=1e-5)
    assert surface_area(points, whole, surface="hull") > 6


@examples(60)
@given(arrays.arrays(np.bool_, (6, 7)))
def test_the_mesh_is_the_sum_of_whole_blocks_and_corners(mask):
    blocks = sum(
        mask[y : y + 2, x : x + 2].sum() for y in range(5) for x in range(6) if mask[y : y + 2, x : x + 2].sum() >= 3
    )
    threes = sum(mask[y : y + 2, x : x + 2].sum() == 3 for y in range(5) for x in range(6))
    expected = (blocks - 3 * threes) / 4 + threes / 2
    assert surface_area(wall(6, 7, 1.0), mask) == pytest.approx(expected, abs=1e-6)


@examples(60)
@given(st.integers(-3, 3), st.integers(-3, 3), st.integers(1, 6), st.booleans())
def test_pixels_on_one_line_are_recognised(down, right, count, bent):
    steps = np.arange(count)[:, None] * [down, right] + 10
    straight = [tuple(step) for step in steps]
    # A point off the line through (0, 0) and (down, right), on a quarter turn of it.
    pixels = [*straight, (10 - right, 10 + down)] if bent else straight
    turned = bent and count >= 2 and (down or right)
    assert on_one_line(pixels) == (not turned)


def test_a_line_has_no_area_and_empties_the_image_in_the_reference():
    points, labels = wall(80, 80), np.zeros((80, 80), dtype=np.uint8)
    labels[5:75, 3] = 1
    labels[10:50, 20:60] = 2
    assert [surface_area(points, labels == 1, surface=surface) for surface in ("mesh", "hull")] == [0, 0]
    kept = keep_large_surfaces(labels, points)
    assert kept.ids.tolist() == [2] and kept.reason is None
    np.testing.assert_array_equal(kept.labels, labels == 2)
    emptied = keep_large_surfaces(labels, points, reference=True)
    assert not emptied.labels.any() and len(emptied.ids) == 0
    assert emptied.reason == "object 1 has no surface: its 70 pixels all lie on one line"


def test_small_objects_go_and_the_others_are_numbered_anew():
    points, labels = wall(40, 90), np.zeros((40, 90), dtype=np.int32)
    labels[2:11, 2:11] = 7
    labels[2:11, 20:29] = 3
    labels[2:8, 40:50] = 5
    kept = keep_large_surfaces(labels, points, min_area_m2=0.6)
    assert kept.ids.tolist() == [3, 7] and kept.reason is None
    np.testing.assert_array_equal(kept.labels, np.where(labels == 3, 1, np.where(labels == 7, 2, 0)))
    gone = keep_large_surfaces(labels, points)
    assert gone.reason == "no object has 64 pixels and shows 0.65 m² of surface" and not gone.labels.any()
    assert keep_large_surfaces(np.zeros((40, 90), dtype=int), points).reason is None


def test_wrong_inputs_are_named():
    with pytest.raises(ValueError, match=r"Expected points \(H, W, 3\) and a map \(H, W\) of one size"):
        surface_area(np.zeros((3, 4, 5)), np.ones((4, 5)))
    with pytest.raises(ValueError, match="Unknown surface 'sphere'; choose mesh or hull"):
        surface_area(wall(4, 5), np.ones((4, 5)), surface="sphere")
