from __future__ import annotations

import numpy as np
import pytest

from mbps_dataset.stages.motion.grid import nearest_centres, working_grid
from tests.stages.motion.rigid_vectors import load_parts


SIZES = ("640x1280_0.06", "368x1104_0.06", "256x512_0.06", "128x256_0.12", "48x96_0.25", "375x1242_0.06")


@pytest.mark.parametrize("size", SIZES)
def test_indices_are_those_of_the_vectors(size):
    golden = load_parts("sf_grid")
    sides, share = size.split("_")
    height, width = (int(side) for side in sides.split("x"))
    grid = working_grid((height, width), float(share))
    np.testing.assert_array_equal(grid.rows, golden[f"{size}/rows"])
    np.testing.assert_array_equal(grid.columns, golden[f"{size}/cols"])
    np.testing.assert_array_equal(grid.cell_rows, golden[f"{size}/up_rows"])
    np.testing.assert_array_equal(grid.cell_columns, golden[f"{size}/up_cols"])


def test_the_grid_lies_in_the_middle_of_equal_parts():
    np.testing.assert_array_equal(nearest_centres(9, 3), [1, 4, 7])
    np.testing.assert_array_equal(nearest_centres(3, 9), [0, 0, 0, 1, 1, 1, 2, 2, 2])


def test_sampling_takes_the_grid_pixels_in_raster_order():
    grid = working_grid((10, 20), 0.2)
    image = np.arange(200).reshape(10, 20)
    np.testing.assert_array_equal(grid.sample(image), [r * 20 + c for r in grid.rows for c in grid.columns])
    assert grid.sample(np.stack([image, image])).shape == (2, 8)


def test_a_picture_too_small_for_a_grid_is_an_error():
    with pytest.raises(ValueError, match="1 x 2 points; at least 2 x 2"):
        working_grid((20, 40), 0.06)
