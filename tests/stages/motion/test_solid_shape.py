from __future__ import annotations

import numpy as np
import pytest

from mbps_dataset.stages.motion.solid_shape import convex_hull, solid_shape


HEIGHT, WIDTH = 12, 16


def scene() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A body over rows 2 … 8 and columns 3 … 11 at 10 m before a wall at 20 m; held are its left side and its wheels."""
    body = np.zeros((HEIGHT, WIDTH), dtype=bool)
    body[2:9, 3:12] = True
    depth = np.where(body, np.float32(10), np.float32(20))
    held = np.zeros_like(body)
    held[2:9, 3:5] = held[8, 3:12] = held[2, 3:12] = True
    return body, depth, held


def test_a_body_is_whole_again_and_no_background_is_taken():
    body, depth, held = scene()
    np.testing.assert_array_equal(solid_shape(held, depth, ~held, disparity_step=0.06), body)


def test_the_hull_alone_takes_nothing_at_another_depth_that_is_not_enclosed():
    body, depth, held = scene()
    held[2] = False
    held[2:9, 3:5] = True
    depth[3:6, 8:12] = 20  # seen past the body: nothing of it lies above
    found = solid_shape(held, depth, ~held, disparity_step=0.06)
    assert not found[3:6, 9:12].any() and found[7, 4:11].all()


def test_what_is_enclosed_is_taken_at_whatever_depth():
    body, depth, held = scene()
    depth[4:6, 6:9] = 35
    held[2:9, 11] = True
    np.testing.assert_array_equal(solid_shape(held, depth, ~held, disparity_step=0.06), body)


def test_pixels_that_stand_still_or_belong_to_others_are_never_taken():
    body, depth, held = scene()
    free = ~held
    free[4:6, 6:9] = False
    found = solid_shape(held, depth, free, disparity_step=0.06)
    np.testing.assert_array_equal(found, body & (held | free))


@pytest.mark.parametrize("mirrored", [False, True])
def test_the_border_of_the_image_is_a_side_of_what_touches_it(mirrored):
    held = np.zeros((HEIGHT, WIDTH), dtype=bool)
    held[2:9, :3] = held[2, :] = held[8, :] = True
    depth = np.full(held.shape, 10, dtype=np.float32)
    depth[4:7, 4:] = 0  # unknown up to the border
    body = np.zeros_like(held)
    body[2:9] = True
    if mirrored:
        held, depth, body = held[:, ::-1], depth[:, ::-1], body[:, ::-1]
    np.testing.assert_array_equal(solid_shape(held, depth, ~held, disparity_step=0.06), body)


def test_pixels_on_one_line_have_no_hull_and_stay():
    held = np.zeros((HEIGHT, WIDTH), dtype=bool)
    held[3, 2:7] = True
    depth = np.ones(held.shape, dtype=np.float32)
    np.testing.assert_array_equal(solid_shape(held, depth, ~held, disparity_step=0.06), held)


def test_a_convex_hull_is_filled_with_its_corners():
    hull = convex_hull(np.array([[0, 0], [0, 4], [4, 0]]), (6, 6))
    expected = np.add.outer(np.arange(6), np.arange(6)) <= 4
    np.testing.assert_array_equal(hull, expected)
