"""Cutting one motion into the bodies that share it, by where they are in the picture (SF2SE3 as used by CUPS stage 1).

Coordinates are X = x / (z + 1e-10), Y = y / (z + 1e-10), and the nearness of two grid points is

    q_ij = tail(|Xi − Xj| / 0.05) · tail(|Yi − Yj| / 0.05),    tail(r) = 2 (1 − Φ(r))

Linked points are one component; a point with no link is a component by itself. Only reliable inliers of the motion that no
chosen object explains become part of an object.

With `reference` (as measured on the reference code, whose clustering reads only the upper triangle of an unsymmetric
matrix): i and a later j are linked iff s_i · q_ij > 0.0455, with the soft inlier of the *earlier* point only, and neither
is explained; j need not be an inlier, so points that are not in the motion bridge gaps; and a component of unreliable
inliers stays, with no point. Otherwise both must be reliable inliers and q_ij > 0.0455.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mbps_dataset.stages.instances.components import join_pairs
from mbps_dataset.stages.motion.likelihood import HARD_INLIER, tail


SPATIAL_SIGMA = 0.05
"""Standard deviation of X and Y within one body."""
_ROWS_AT_ONCE = 512


@dataclass(frozen=True)
class Neighbours:
    """Pairs of N grid points with q above 0.0455: `first` < `second` in raster order, int64 [P]; `nearness` float32 [P]."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    nearness: NDArray[np.float32]


def neighbours(points: NDArray[np.float32], *, sigma: float = SPATIAL_SIGMA, reference: bool = False) -> Neighbours:
    """All pairs of near points, `points` [N, 3] in camera coordinates; they serve all iterations and runs of an image."""
    depth = points[:, 2] + np.float32(1e-10)
    x, y = points[:, 0] / depth, points[:, 1] / depth
    found = []
    for start in range(0, len(points), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        apart = np.abs(x[rows, None] - x), np.abs(y[rows, None] - y)
        reach = np.float32(2.01 * sigma)  # beyond two sigma on one axis the product cannot pass
        i, j = np.nonzero((apart[0] < reach) & (apart[1] < reach))
        ordered = i + start < j
        i, j = i[ordered], j[ordered]
        nearness = tail(apart[0][i, j] / np.float32(sigma), reference=reference)
        nearness *= tail(apart[1][i, j] / np.float32(sigma), reference=reference)
        passes = nearness > np.float32(HARD_INLIER)
        found.append((i[passes] + start, j[passes], nearness[passes]))
    return Neighbours(*(np.concatenate(parts) for parts in zip(*found)))


def split_spatially(
    soft: NDArray[np.float32],
    near: Neighbours,
    reliable: NDArray[np.bool_],
    explained: NDArray[np.bool_],
    *,
    reference: bool = False,
) -> NDArray[np.bool_]:
    """The components of one motion's soft inliers [N], bool [n, N], in order of their first point.

    `reliable` and `explained` (hard inlier of a chosen object) bool [N].
    """
    unexplained = (soft > np.float32(HARD_INLIER)) & ~explained
    if reference:
        linked = soft[near.first] * near.nearness > np.float32(HARD_INLIER)
        linked &= ~explained[near.first] & ~explained[near.second]
    else:
        linked = (unexplained & reliable)[near.first] & (unexplained & reliable)[near.second]
    component = join_pairs(near.first[linked], near.second[linked], len(soft))
    kept = np.flatnonzero(unexplained if reference else unexplained & reliable)
    names, first = np.unique(component[kept], return_index=True)
    split = np.zeros((len(names), len(soft)), dtype=bool)
    for row, name in zip(split, names[np.argsort(first)]):
        row[kept[component[kept] == name]] = True
    return split & reliable
