"""Ego-motion: the one rigid motion that explains most of what a camera sees, by robust reprojection (ours).

Points are drawn from the reliable pixels. Three of them give a motion in closed form (`kabsch`); the candidate with the
least robust cost over all drawn points is refined by Levenberg-Marquardt on what is measured, flow and disparity of t + 1,
with Tukey's biweight (`pose`). Aligning points in space alone is biased by far ones, whose depth is uncertain by metres: whole
roads then come out as moving; so it only starts the search, from points nearer than 30 m.

One pixel's residual e (flow x, flow y, disparity of t + 1, measured minus predicted) has the covariance

    Σ = diag(σx², σy², σd²) + σd² · j jᵀ,    j = ∂(prediction) / ∂(disparity of t)

since the prediction stands on a measured disparity; `unexplained` is the Mahalanobis distance squared, eᵀ Σ⁻¹ e.

Everything is deterministic: candidates are drawn from a seed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mbps_dataset.stages.motion.kabsch import align_rigidly
from mbps_dataset.stages.motion.likelihood import Observations, residuals
from mbps_dataset.stages.motion.pose import Projections, projections_of, refine_pose, reprojection_errors


CANDIDATES = 200
DRAWN_POINTS = 4000
START_WITHIN_M = 30.0
LEAST_EXPLAINED = 0.3
"""Share of the drawn points that the ego-motion must explain; below it, what the camera does is not known."""

_TUKEY = 4.0
"""c of the biweight, in standard deviations."""
_JUDGED_POINTS = 1000
_SMALLEST_STEP = 1e-6
"""Radian or metre: far below what a pixel shows."""


@dataclass(frozen=True)
class EgoMotion:
    """`transform` float32 [4, 4] takes points of t to t + 1; `explained`, share of the drawn points within three standard
    deviations; `reason`, why the motion is not known, else None."""

    transform: NDArray[np.float32]
    explained: float
    reason: str | None = None


def estimate_ego_motion(observed: Observations, *, seed: int = 0) -> EgoMotion:
    """The motion of the scene against the camera from N observations, of which only the reliable are looked at."""
    rng = np.random.default_rng(seed)
    reliable = np.flatnonzero(observed.reliable)
    if len(reliable) < 3:
        return EgoMotion(np.eye(4, dtype=np.float32), 0.0, f"{len(reliable)} reliable pixels, but a motion needs 3")
    drawn = observed.at(reliable[_evenly(len(reliable), DRAWN_POINTS)])
    projections = projections_of(drawn)
    start = _best_candidate(drawn, projections.at(_evenly(len(drawn), _JUDGED_POINTS)), rng)
    fit = refine_pose(projections, start, robust=2 * _TUKEY, smallest_step=_SMALLEST_STEP)
    if fit.reason is None:
        fit = refine_pose(projections, fit.transform, robust=_TUKEY, smallest_step=_SMALLEST_STEP)
    explained = float((np.square(reprojection_errors(fit.transform, projections)).sum(axis=0) < 9).mean())
    reason = fit.reason and f"the camera's motion is unknown: {fit.reason}"
    if reason is None and explained < LEAST_EXPLAINED:
        reason = f"the camera's motion is unknown: the best one explains {explained:.0%} of the pixels"
    return EgoMotion(fit.transform.astype(np.float32), explained, reason)


def _evenly(length: int, count: int) -> NDArray[np.int64]:
    return np.linspace(0, length - 1, min(length, count)).astype(np.int64)


def _best_candidate(drawn: Observations, judged: Projections, rng: np.random.Generator) -> NDArray[np.float64]:
    """The motion of least robust cost over some points, among standing still and triplets of near points."""
    near = np.flatnonzero(drawn.points_t[:, 2] < START_WITHIN_M)
    pool = near if len(near) >= 3 else np.arange(len(drawn))
    triplets = pool[rng.integers(len(pool), size=(CANDIDATES, 3))].ravel()
    members = np.kron(np.eye(CANDIDATES, dtype=np.float32), np.ones(3, dtype=np.float32))
    candidates = align_rigidly(drawn.points_t[triplets], drawn.points_t1[triplets], members).astype(np.float64)
    candidates = np.concatenate([np.eye(4)[None], candidates])
    return candidates[int(np.argmin([_robust_cost(candidate, judged) for candidate in candidates]))]


def _robust_cost(transform: NDArray[np.float64], judged: Projections) -> float:
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        squared = np.square(reprojection_errors(transform, judged)).sum(axis=0)
    return float(np.fmin(squared, (2 * _TUKEY) ** 2).sum())


def unexplained(transform: NDArray[np.floating], observed: Observations) -> NDArray[np.float32]:
    """eᵀ Σ⁻¹ e of a motion at N pixels, float32 [N], infinite behind the camera; see the module's head.

    With residual r and slope s over their standard deviations it is |r|² − (r·s)² / (1 + |s|²).
    """
    errors, in_front = residuals(transform, observed)
    step = np.float32(0.1)
    depth = np.maximum(observed.points_t[:, 2], np.float32(1e-3))
    bf = observed.intrinsics[0, 0] * np.float32(observed.baseline)
    nearer = observed.points_t * (bf / (bf + step * depth))[:, None]
    moved, _ = residuals(transform, replace(observed, points_t=nearer))
    slope = (moved - errors) / step * (observed.sigmas[2] / observed.sigmas)[:, None]
    ratio = errors / observed.sigmas[:, None]
    along = (ratio * slope).sum(axis=0)
    distance = np.square(ratio).sum(axis=0) - np.square(along) / (1 + np.square(slope).sum(axis=0))
    return np.where(in_front, distance, np.float32(np.inf))
