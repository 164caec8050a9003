from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from mbps_dataset.stages.motion.assignment import assign_pixels, joint, spatial_likelihood
from mbps_dataset.stages.motion.grid import working_grid
from mbps_dataset.stages.motion.likelihood import IMPOSSIBLE, Likelihood, motion_likelihood
from mbps_dataset.stages.motion.rigid_run import observe
from tests.stages.motion.rigid_vectors import flow_with_mask, load_parts, unpacked


INTRINSICS = np.array([[100.0, 0, 20], [0, 80.0, 10], [0, 0, 1]])


def test_labels_and_likelihoods_of_given_motions_are_those_of_the_vectors():
    golden = load_parts("sf_scene", "sf_scene_t1", "sf_trace")
    flow = flow_with_mask(golden)
    grid, observed = working_grid(flow.reliable.shape, 0.12), observe(flow)
    motions = golden["objects_se3"]
    assigned = unpacked(golden["objects_points_assigned"], len(motions), grid.shape[0] * grid.shape[1])
    motion = motion_likelihood(motions, observed, reference=True)
    found = joint(motion, spatial_likelihood(assigned, grid, flow.intrinsics, reference=True))
    labels = assign_pixels(found, observed.reliable)
    np.testing.assert_array_equal(labels.reshape(flow.reliable.shape), golden["labels"])
    log, soft = (part.reshape(-1, *flow.reliable.shape)[:, ::5, ::5] for part in (found.log, found.soft))
    expected = golden["log_likelihood_sub5"]
    assert (np.abs(log - expected) <= 1e-4 * (1 + np.abs(expected))).all()
    np.testing.assert_allclose(soft, golden["soft_inlier_sub5"], rtol=0, atol=1e-4)


@pytest.mark.parametrize("on_grid", [False, True])
def test_the_best_cell_is_that_of_a_search_over_all_81(on_grid):
    grid = working_grid((20, 40), 0.4)
    assigned = np.random.default_rng(3).random((2, 8 * 16)) < 0.05
    found = spatial_likelihood(assigned, grid, INTRINSICS, on_grid=on_grid)
    rows, columns = (grid.rows, grid.columns) if on_grid else (np.arange(20), np.arange(40))
    for k, cells in enumerate(assigned.reshape(2, 8, 16)):
        for i, row in enumerate(rows):
            for j, column in enumerate(columns):
                own = (i, j) if on_grid else (grid.cell_rows[row], grid.cell_columns[column])
                best = (0.0, IMPOSSIBLE)
                for r, c in np.argwhere(cells):
                    if abs(r - own[0]) <= 4 and abs(c - own[1]) <= 4:
                        apart = abs(grid.columns[c] - column) / 100, abs(grid.rows[r] - row) / 80
                        near = np.prod([2 * norm.sf(a / 0.05) for a in apart])
                        best = max(best, (near, sum(norm.logpdf(a, scale=0.05) for a in apart)))
                at = i * len(columns) + j
                assert found.soft[k, at] == pytest.approx(best[0], abs=1e-6)
                assert found.log[k, at] == pytest.approx(best[1], rel=1e-4)


def test_an_object_without_cells_is_nowhere():
    grid = working_grid((20, 40), 0.4)
    found = spatial_likelihood(np.zeros((1, 128), dtype=bool), grid, INTRINSICS)
    assert not found.soft.any() and (found.log == np.float32(IMPOSSIBLE)).all()


def test_background_is_what_nothing_explains_or_is_not_reliable():
    log = np.float32([[0, 0, 0, 0], [1, 1, 1, -1]])
    soft = np.float32([[0, 0, 0.1, 1], [0.5, 0, 0.5, 0.5]])
    labels = assign_pixels(Likelihood(log, soft), np.array([True, True, False, True]))
    assert labels.tolist() == [1, 0, 0, 0]
