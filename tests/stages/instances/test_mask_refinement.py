from __future__ import annotations

import numpy as np

from mbps_dataset.stages.instances.mask_refinement import refine_mask


def picture() -> np.ndarray:
    """Grey noise with a bright square."""
    image = np.random.default_rng(0).integers(0, 12, (60, 80, 3)).astype(np.uint8)
    image[20:40, 30:60] += 200
    return image


def test_the_mask_moves_to_the_edge_of_the_object_and_holes_are_filled() -> None:
    mask = np.zeros((60, 80), dtype=bool)
    mask[18:38, 32:60] = True
    mask[26:28, 40:42] = False
    expected = np.zeros((60, 80), dtype=bool)
    expected[20:40, 30:60] = True
    np.testing.assert_array_equal(refine_mask(mask, picture()), expected)


def test_a_mask_that_changes_too_much_is_refused() -> None:
    mask = np.zeros((60, 80), dtype=bool)
    mask[18:38, 32:60] = True
    assert refine_mask(mask, picture(), min_overlap=0.99) is None
    assert refine_mask(np.zeros((60, 80), dtype=bool), picture()) is None
