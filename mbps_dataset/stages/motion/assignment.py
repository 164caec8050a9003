"""Which of the chosen rigid motions a pixel belongs to: how well each explains it, and how near its points are.

An object is a motion and the grid cells assigned to it. Of the assigned cells in the 9 x 9 window of grid cells around a
pixel's own, with X, Y the normalised image coordinates (x / z, y / z) of pixel and cell,

    spatial soft inlier = max tail(|ΔX| / 0.05) · tail(|ΔY| / 0.05),    log-likelihood = log N(ΔX; 0.05) + log N(ΔY; 0.05)

of that same cell, and −4.0e14 where no cell is assigned or the soft inlier is 0. Soft inliers of motion and place are multiplied, log-likelihoods
added; the label is the best object, and 0, the background, where every soft inlier is 0 or the pixel is unreliable (SF2SE3 as
used by CUPS stage 1, as measured on the reference code).

Since X depends on the column alone and Y on the row alone, the best of 81 cells is a best over columns followed by a best over
rows (ours): the same numbers, for 18 steps a pixel instead of 81.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mbps_dataset.stages.motion.grid import WorkingGrid
from mbps_dataset.stages.motion.likelihood import IMPOSSIBLE, Likelihood, log_density, tail
from mbps_dataset.stages.motion.split import SPATIAL_SIGMA


REACH_CELLS = 4
"""Half the window of grid cells around a pixel's own."""

_Map = NDArray[np.float32]
_Lines = tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.float32]]


def spatial_likelihood(
    assigned: NDArray[np.bool_],
    grid: WorkingGrid,
    intrinsics: NDArray[np.floating],
    *,
    on_grid: bool = False,
    sigma: float = SPATIAL_SIGMA,
    reference: bool = False,
) -> Likelihood:
    """The spatial part for K objects, [K, H · W], or at the grid points alone, [K, N], in raster order.

    `assigned` [K, N] cells of each object; `intrinsics` [3, 3]; see `likelihood.tail` for `reference`.
    """
    height, width = grid.shape
    columns = _line(grid.columns, grid.cell_columns, float(intrinsics[0, 0]), sigma, on_grid)
    rows = _line(grid.rows, grid.cell_rows, float(intrinsics[1, 1]), sigma, on_grid)
    none = np.float32(0), np.float32(-np.inf)
    soft = [np.where(inside, tail(ratio, reference=reference), none[0]) for _, inside, ratio in (rows, columns)]
    log = [np.where(inside, log_density(ratio, np.float32(sigma)), none[1]) for _, inside, ratio in (rows, columns)]
    shape = len(assigned), len(rows[0]) * len(columns[0])
    out = Likelihood(np.empty(shape, dtype=np.float32), np.empty(shape, dtype=np.float32))
    for k, cells in enumerate(assigned.reshape(-1, height, width)):
        in_row = _best_in_rows(cells[:, columns[0]], soft[1], log[1])
        out.soft[k], out.log[k] = (part.ravel() for part in _best_row(in_row, rows[0], soft[0], log[0]))
    out.log[out.soft == 0] = IMPOSSIBLE
    return out


def _line(
    cells: NDArray[np.int64], cell_of: NDArray[np.int64], focal_length: float, sigma: float, on_grid: bool
) -> _Lines:
    """Cells in reach of each position on a line: index [L, 9], whether there is such a cell, distance over `sigma`."""
    positions = cells if on_grid else np.arange(len(cell_of))
    own = np.arange(len(cells)) if on_grid else cell_of
    near = own[:, None] + np.arange(-REACH_CELLS, REACH_CELLS + 1)
    inside = (near >= 0) & (near < len(cells))
    near = np.clip(near, 0, len(cells) - 1)
    apart = np.abs(positions[:, None] - cells[near]) / (focal_length * sigma)
    return near, inside, apart.astype(np.float32)


def _best_in_rows(held: NDArray[np.bool_], soft: _Map, log: _Map) -> tuple[_Map, _Map]:
    """Soft inlier and log density of the best assigned cell in each grid row, [h, W]; `held` bool [h, W, 9]."""
    assigned_soft = np.where(held, soft, np.float32(-1))
    best = assigned_soft.argmax(axis=2)
    columns = np.arange(held.shape[1])
    there = assigned_soft.max(axis=2)
    return np.maximum(there, 0), np.where(there < 0, np.float32(-np.inf), log[columns, best])


def _best_row(in_row: tuple[_Map, _Map], rows: NDArray[np.int64], soft: _Map, log: _Map) -> tuple[_Map, _Map]:
    """Soft inlier and log density of the cell with the largest soft inlier among the nine grid rows, [H, W]; the first of
    equal ones. What is nearest by soft inlier need not have the largest density."""
    best_soft = np.full((len(rows), in_row[0].shape[1]), -1, dtype=np.float32)
    best_log = np.empty_like(best_soft)
    for step in range(rows.shape[1]):
        trial = in_row[0][rows[:, step]] * soft[:, step, None]
        better = trial > best_soft
        np.copyto(best_soft, trial, where=better)
        np.copyto(best_log, in_row[1][rows[:, step]] + log[:, step, None], where=better)
    return best_soft, best_log


def joint(motion: Likelihood, spatial: Likelihood) -> Likelihood:
    """Motion and place together."""
    return Likelihood(motion.log + spatial.log, motion.soft * spatial.soft)


def assign_pixels(likelihood: Likelihood, reliable: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The object of each pixel, int64 [P]; 0, the first, also where none explains it or it is not `reliable`."""
    labels = likelihood.log.argmax(axis=0)
    labels[(likelihood.soft.max(axis=0) == 0) | ~reliable] = 0
    return labels
