"""How well a rigid motion explains flow and disparity: soft inliers and log-likelihoods (SF2SE3 as used by CUPS stage 1).

A point P of time t moves to T·P = (x, y, z). Predicted are its flow and its disparity at t + 1,

    u = fx · x / Z + cx − column,   v = fy · y / Z + cy − row,   d = fx · B / Z,    Z = |z| + 1e-10

and residuals against the measured flow and against fx · B / z of the measured point of t + 1 are independent Gaussians:

    log-likelihood = Σ log N(r; 0, σ),   soft inlier = Π tail(|r| / σ),   tail(r) = 2 (1 − Φ(r))

A hard inlier has a soft one above 0.0455, the tail of two sigma.

With `reference` (as measured on the reference code): the tail is formed in float32 from Φ, so it is exactly 0 from 5.3475 sigma
on, and that zero decides what is background; a point moved behind the camera is judged by |z|, as if it were in front; at
unreliable pixels two log densities are multiplied, log N(0; σx) · log N(0; σy) + log N(0; σd). Otherwise the tail is formed
from erfc and cut at the same 5.3475 sigma; points behind the camera are no inliers; at unreliable pixels the densities are added.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray


HARD_INLIER = 0.0455
"""A soft inlier above this is a hard one: the two-sided tail of a Gaussian at two standard deviations."""

CUT_SIGMAS = 5.3475
"""From here on 2 (1 − Φ(r)) is 0 in float32."""

IMPOSSIBLE = -4.0e14
"""Log-likelihood of what cannot be; the reference's value for "no assigned point near": 2 · log N(10⁶; 0, 0.05)."""

_LOG_ROOT_TWO_PI = np.float32(0.5 * np.log(2 * np.pi))


@dataclass(frozen=True)
class Observations:
    """What was measured at N pixels.

    `points_t`, `points_t1` float32 [N, 3] in metres, camera coordinates of their time; `flow` float32 [2, N] (x, y) and
    `pixels` float32 [2, N] (column, row) in pixels of the full image; `reliable` bool [N]; `sigmas` float32 [3], standard
    deviations of flow x, flow y and disparity in pixels; `intrinsics` float32 [3, 3]; `baseline` in metres.
    """

    points_t: NDArray[np.float32]
    points_t1: NDArray[np.float32]
    flow: NDArray[np.float32]
    pixels: NDArray[np.float32]
    reliable: NDArray[np.bool_]
    sigmas: NDArray[np.float32]
    intrinsics: NDArray[np.float32]
    baseline: float

    def __len__(self) -> int:
        return len(self.points_t)

    def at(self, chosen: NDArray[np.integer] | NDArray[np.bool_]) -> Observations:
        """The observations of some of the pixels."""
        return Observations(
            self.points_t[chosen],
            self.points_t1[chosen],
            self.flow[:, chosen],
            self.pixels[:, chosen],
            self.reliable[chosen],
            self.sigmas,
            self.intrinsics,
            self.baseline,
        )


@dataclass(frozen=True)
class Likelihood:
    """K motions at N pixels: `log` and `soft` (in [0, 1]), float32 [K, N]."""

    log: NDArray[np.float32]
    soft: NDArray[np.float32]

    @property
    def hard(self) -> NDArray[np.bool_]:
        """Hard inliers, bool [K, N]."""
        return self.soft > np.float32(HARD_INLIER)


def tail(ratio: ArrayLike, *, reference: bool = False) -> NDArray[np.float32]:
    """2 (1 − Φ(`ratio`)) in float32, for ratios of at least 0; see the head for `reference`."""
    values = torch.from_numpy(np.ascontiguousarray(ratio, dtype=np.float32))
    if reference:
        return (2 * (1 - 0.5 * (1 + torch.erf(values / 2**0.5)))).numpy()
    return torch.where(values > CUT_SIGMAS, 0.0, torch.erfc(values / 2**0.5)).numpy()


def log_density(ratio: NDArray[np.float32], sigma: np.float32) -> NDArray[np.float32]:
    """log N(r; 0, σ) of residuals given as r / σ."""
    return np.float32(-0.5) * ratio * ratio - (np.log(sigma) + _LOG_ROOT_TWO_PI)


def residuals(
    transform: NDArray[np.floating], observed: Observations
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Measured minus predicted flow x, flow y and disparity of t + 1, float32 [3, N] in pixels, and what is in front, [N].

    `transform` [4, 4]. Disparities of points of t + 1 at z = 0 are taken as 0.
    """
    rotation, shift = transform[:3, :3].astype(np.float32), transform[:3, 3].astype(np.float32)
    x, y, z = rotation @ observed.points_t.T + shift[:, None]
    depth = np.abs(z) + np.float32(1e-10)
    k = observed.intrinsics
    bf = k[0, 0] * np.float32(observed.baseline)
    z1 = observed.points_t1[:, 2]
    out = np.empty((3, len(z)), dtype=np.float32)
    out[0] = observed.flow[0] - (k[0, 0] * x / depth + k[0, 2] - observed.pixels[0])
    out[1] = observed.flow[1] - (k[1, 1] * y / depth + k[1, 2] - observed.pixels[1])
    out[2] = np.divide(bf, z1, out=np.zeros_like(z1), where=z1 != 0) - bf / depth
    return out, z > 0


def residual_sigmas(transform: NDArray[np.floating], observed: Observations, least_px: float) -> NDArray[np.float32]:
    """Standard deviations of flow x, flow y and disparity, float32 [3] px: 1.4826 times the median absolute residual of N ≥ 1
    pixels from a motion [4, 4] that explains most of them, at least `least_px`."""
    errors, _ = residuals(transform, observed)
    return np.maximum(1.4826 * np.median(np.abs(errors), axis=1), least_px).astype(np.float32)


def motion_likelihood(transforms: ArrayLike, observed: Observations, *, reference: bool = False) -> Likelihood:
    """Log-likelihood and soft inliers of K rigid motions, `transforms` [K, 4, 4], at N pixels; formulas in the head."""
    stack = np.asarray(transforms, dtype=np.float32)
    log = np.empty((len(stack), len(observed)), dtype=np.float32)
    soft = np.empty_like(log)
    for k, transform in enumerate(stack):
        errors, in_front = residuals(transform, observed)
        ratios = np.abs(errors) / observed.sigmas[:, None]
        densities = [log_density(ratio, sigma) for ratio, sigma in zip(ratios, observed.sigmas)]
        log[k] = densities[0] + densities[1] + densities[2]
        soft[k] = np.prod(tail(ratios, reference=reference), axis=0)
        if not reference:
            log[k, ~in_front], soft[k, ~in_front] = IMPOSSIBLE, 0
    log[:, ~observed.reliable] = _constant_log(observed.sigmas, reference)
    soft[:, ~observed.reliable] = 0
    return Likelihood(log, soft)


def _constant_log(sigmas: NDArray[np.float32], reference: bool) -> np.float32:
    """The log-likelihood given to unreliable pixels."""
    x, y, disparity = -(np.log(sigmas) + _LOG_ROOT_TWO_PI)
    return np.float32(x * y + disparity if reference else x + y + disparity)
