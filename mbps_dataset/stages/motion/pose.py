"""The rigid motion that minimises the reprojection error: Levenberg-Marquardt on the six parameters of a pose.

A point P moves to T·P = (x, y, z), and residuals are measured minus predicted

    u = fx · x / z + cx,    v = fy · y / z + cy,    and where it is measured    d = fx · B / z

divided by their standard deviations. A step ξ = (rotation ω, shift τ) acts from the left, T ← exp(ξ) T, and solves
(JᵀWJ + λ diag) ξ = JᵀWr in float64; W is 1, or Tukey's biweight (1 − (e / c)²)² of the residual length e below c, 0 above,
which makes it robust. OpenCV's iterative solvePnP, which CUPS calls here, comes within 2e-3 of the minimum with 12 points
and 1e-6 with 30 (measured); this goes all the way.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from mbps_dataset.stages.motion.likelihood import Observations


FEWEST_POINTS = 4
_SMALLEST_STEP = 1e-10
_Array = NDArray[np.float64]


@dataclass(frozen=True)
class PoseFit:
    """`transform` float64 [4, 4] and, where it could not be fitted and is the start, the `reason`."""

    transform: _Array
    reason: str | None = None


@dataclass(frozen=True)
class Projections:
    """Where n points went: `points` float64 [n, 3] at t; `targets` float64 [R, n], u and v at t + 1 in pixels and, with
    R = 3, disparity; `sigmas` float64 [R]; `intrinsics` [3, 3]; `baseline` in metres, for R = 3."""

    points: _Array
    targets: _Array
    sigmas: _Array
    intrinsics: _Array
    baseline: float = 0.0

    def at(self, chosen: NDArray[np.bool_] | NDArray[np.integer]) -> Projections:
        """The projections of some of the points."""
        return Projections(self.points[chosen], self.targets[:, chosen], self.sigmas, self.intrinsics, self.baseline)


def projections_of(observed: Observations, *, with_disparity: bool = True) -> Projections:
    """Where observed points went: flow and, `with_disparity`, the disparity of t + 1, each with its standard deviation.

    Points of t + 1 at z = 0 must not be among them. Without disparity both standard deviations of flow are 1, as in CUPS.
    """
    targets = (observed.pixels + observed.flow).astype(np.float64)
    camera = observed.intrinsics.astype(np.float64)
    points = observed.points_t.astype(np.float64)
    if not with_disparity:
        return Projections(points, targets, np.ones(2), camera)
    disparity = camera[0, 0] * observed.baseline / observed.points_t1[:, 2].astype(np.float64)
    sigmas = observed.sigmas.astype(np.float64)
    return Projections(points, np.concatenate([targets, disparity[None]]), sigmas, camera, observed.baseline)


def refine_pose(
    projections: Projections, start: NDArray[np.floating], *, robust: float | None = None, iterations: int = 50,
    turns: bool = True, reference: bool = False, smallest_step: float = _SMALLEST_STEP,
) -> PoseFit:  # fmt: skip
    """The pose of least reprojection error near `start` [4, 4].

    `robust` is the c of Tukey's biweight in standard deviations, none for plain least squares; without `turns` the rotation
    is kept and only the shift is fitted. A step below `smallest_step` (rad, m) is the last. With fewer than 4 points, or
    points that do not determine a pose, the start comes back with a reason; with `reference`, fewer than 4 points give
    the identity, as in CUPS.
    """
    if len(projections.points) < FEWEST_POINTS:
        kept = np.eye(4) if reference else np.asarray(start, dtype=np.float64)
        return PoseFit(kept, f"{len(projections.points)} points, but a pose needs {FEWEST_POINTS}")
    transform, damping = np.asarray(start, dtype=np.float64), 1e-3
    free = slice(0 if turns else 3, 6)
    errors, jacobian = _system(transform, projections)
    for _ in range(iterations):
        cost, slopes = _cost(errors, robust), jacobian[..., free]
        weighted = slopes * _weights(errors, robust)[:, None]
        normal = np.einsum("rni,rnj->ij", weighted, slopes, optimize=True)
        slope = np.einsum("rni,rn->i", weighted, errors, optimize=True)
        if not np.isfinite(normal).all() or np.linalg.matrix_rank(normal, tol=1e-9 * np.trace(normal)) < len(normal):
            return PoseFit(np.asarray(start, dtype=np.float64), "the points do not determine a pose")
        while True:
            step = np.zeros(6)
            step[free] = np.linalg.solve(normal + damping * np.diag(np.diag(normal)), slope)
            trial = _exponential(step) @ transform
            new_errors, new_jacobian = _system(trial, projections)
            if _cost(new_errors, robust) <= cost or damping > 1e8:
                break
            damping *= 10
        if damping > 1e8:
            break
        transform, errors, jacobian, damping = trial, new_errors, new_jacobian, max(damping / 10, 1e-9)
        if np.abs(step).max() < smallest_step:
            break
    return PoseFit(transform)


def reprojection_errors(transform: NDArray[np.floating], projections: Projections) -> _Array:
    """Residuals over standard deviations, float64 [R, n]."""
    return _predicted_errors(_moved(np.asarray(transform, dtype=np.float64), projections.points), projections)


def _moved(transform: _Array, points: _Array) -> _Array:
    return transform[:3, :3] @ points.T + transform[:3, 3:]


def _predicted_errors(moved: _Array, projections: Projections) -> _Array:
    k, (x, y, z) = projections.intrinsics, moved
    predicted = [k[0, 0] * x / z + k[0, 2], k[1, 1] * y / z + k[1, 2], k[0, 0] * projections.baseline / z]
    return (projections.targets - np.stack(predicted[: len(projections.targets)])) / projections.sigmas[:, None]


def _system(transform: _Array, projections: Projections) -> tuple[_Array, _Array]:
    """Residuals [R, n] and the derivative of the prediction by (ω, τ), [R, n, 6], both over standard deviations."""
    moved = _moved(transform, projections.points)
    (x, y, z), k, none = moved, projections.intrinsics, np.zeros(moved.shape[1])
    by_point = [
        (k[0, 0] / z, none, -k[0, 0] * x / z**2),
        (none, k[1, 1] / z, -k[1, 1] * y / z**2),
        (none, none, -k[0, 0] * projections.baseline / z**2),
    ][: len(projections.targets)]
    rows = []
    for (a, b, c), sigma in zip(by_point, projections.sigmas):
        rows.append(np.stack([c * y - b * z, a * z - c * x, b * x - a * y, a, b, c], axis=1) / sigma)
    return _predicted_errors(moved, projections), np.stack(rows)


def _weights(errors: _Array, robust: float | None) -> _Array:
    if robust is None:
        return np.ones(errors.shape[1])
    return np.square(np.clip(1 - np.square(errors).sum(axis=0) / robust**2, 0, None))


def _cost(errors: _Array, robust: float | None) -> float:
    squared = np.square(errors).sum(axis=0)
    return float(squared.sum() if robust is None else (1 - np.clip(1 - squared / robust**2, 0, None) ** 3).sum())


def _exponential(step: _Array) -> _Array:
    """A small motion as a matrix; the shift is applied as it stands, which only renames the parameters."""
    motion = np.eye(4)
    motion[:3, :3], motion[:3, 3] = Rotation.from_rotvec(step[:3]).as_matrix(), step[3:]
    return motion
