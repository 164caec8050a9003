"""Clusters of grid points that may move as one rigid body (SF2SE3 as used by CUPS stage 1).

Two points are near when |P0i − P0j| ≤ 5 m and rigid when | |P0i − P0j| − |P1i − P1j| | ≤ 0.03 m. Point j is open when it is
reliable and no chosen object explains it. A seed has more than two open points j (itself counts) both near and rigid;
100 seeds are drawn with replacement, and each grows in four steps by one admissible open point drawn at random.

With `reference` (as measured on the reference code): being open is asked of j only, so that an
unreliable or explained point can be a seed and stays in its cluster; admissible is what is near to *all* members and rigid
with *at least one*; clusters of two points are kept. Otherwise seeds are open points; admissible is near to and rigid
with all members; clusters have at least three points, since two leave a rotation undetermined.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mbps_dataset.stages.motion.draws import Draws, pick


NEAR_M = 5.0
RIGID_M = 0.03
_ROWS_AT_ONCE = 512


@dataclass(frozen=True)
class PairRelations:
    """Which of N grid points are near to and rigid with each other, bool [N, N] each; whether open is not in here."""

    near: NDArray[np.bool_]
    rigid: NDArray[np.bool_]


def pair_relations(
    points_t: NDArray[np.float32], points_t1: NDArray[np.float32], *, near_m: float = NEAR_M, rigid_m: float = RIGID_M
) -> PairRelations:
    """The relations of points [N, 3] in metres, distances in float32; they serve all iterations and runs of an image."""
    count = len(points_t)
    near, rigid = np.empty((count, count), dtype=bool), np.empty((count, count), dtype=bool)
    for start in range(0, count, _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        before, after = _distances(points_t[rows], points_t), _distances(points_t1[rows], points_t1)
        near[rows] = before <= np.float32(near_m)
        rigid[rows] = np.abs(before - after) <= np.float32(rigid_m)
    return PairRelations(near, rigid)


def _distances(some: NDArray[np.float32], points: NDArray[np.float32]) -> NDArray[np.float32]:
    total = np.zeros((len(some), len(points)), dtype=np.float32)
    for axis in range(3):
        total += np.square(some[:, axis, None] - points[:, axis])
    return np.sqrt(total, out=total)


def propose_clusters(
    relations: PairRelations,
    open_points: NDArray[np.bool_],
    draws: Draws,
    *,
    count: int = 100,
    max_points: int = 5,
    reference: bool = False,
) -> NDArray[np.bool_]:
    """At most `count` clusters of at most `max_points` points, bool [n, N]; none where no point can be a seed.

    `open_points` bool [N]. Asks `draws` for `count` numbers for the seeds and in each step for one per cluster that can
    grow, in their order; the floor(u · n)-th of n candidates in raster order is taken.
    """
    opened = np.flatnonzero(open_points)
    partners = (relations.near[:, opened] & relations.rigid[:, opened]).sum(axis=1)
    seeds = np.flatnonzero((partners > 2) & (open_points | reference))
    if not len(seeds):
        return np.zeros((0, len(open_points)), dtype=bool)
    chosen = seeds[pick(draws(count), len(seeds))]
    members = np.zeros((count, len(open_points)), dtype=bool)
    members[np.arange(count), chosen] = True
    near, rigid = relations.near[chosen] & open_points, relations.rigid[chosen] & open_points
    for _ in range(max_points - 1):
        admissible = near & rigid & ~members
        sizes = admissible.sum(axis=1)
        growing = np.flatnonzero(sizes)
        if not len(growing):
            break
        ranks = pick(draws(len(growing)), sizes[growing])
        reached = np.cumsum(admissible[growing], axis=1, dtype=np.int32) > ranks[:, None]
        added = reached.argmax(axis=1)
        members[growing, added] = True
        near[growing] &= relations.near[added]
        rigid[growing] = _with_one_more(rigid[growing], relations.rigid[added] & open_points, reference)
    return members[members.sum(axis=1) >= (2 if reference else 3)]


def _with_one_more(rigid: NDArray[np.bool_], added: NDArray[np.bool_], reference: bool) -> NDArray[np.bool_]:
    return rigid | added if reference else rigid & added
