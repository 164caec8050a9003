"""How wrong flow and disparity are: one standard deviation per channel from how badly forward and backward agree.

The deviation of a flow is f + w(b), that of a disparity |d − w(d of the other eye)|, with what lies outside read as 0
(`consistency.backward_warp`). Of the usable ones (inside the image, shorter than Dmax = 10 √2 px) s is the root mean
square. As large deviations were cut away, s is too small; the true σ = s / ρ follows from the variance of a Gaussian
cut at ±Dmax:

    g(ρ) = 1 − (2 / √π) aρ exp(−(aρ)²) / erf(aρ) − ρ² = 0,    a = Dmax / (s √2)

Decisions made here (all CUPS' code, SF2SE3's noise model; correction 10 of its notes):

* the equation is solved on the grid ρ = 0.1 … 1 in 100 steps: the largest ρ with |g| < 0.01, else 0.1. Nothing is
  corrected below s = 4.2 px, and above s ≈ 8 px (a flat histogram) only the upper limit speaks;
* σ is held within 2 √2 … 10 √2 px and divided by √2, since two maps contributed: 2 to 10 px;
* with less than 10 % usable σ is the minimum. That is a lack of evidence, not accuracy, so it comes with a reason.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import erf

from mbps_dataset.stages.motion.consistency import backward_warp, disparity_as_flow, flow_field, inside_frame


LARGEST_DEVIATION_PX = 10 * np.sqrt(2.0)
SMALLEST_DEVIATION_PX = 2 * np.sqrt(2.0)
LEAST_USABLE_SHARE = 0.1
GRID = np.linspace(0.1, 1.0, 100)
"""Ratios of cut to true deviation that are tried."""
TOLERANCE = 0.01


@dataclass(frozen=True)
class NoiseEstimate:
    """`sigma` float64 [C] in pixels, 2 to 10; `reason` why it is only the assumed minimum, else None."""

    sigma: NDArray[np.float64]
    reason: str | None = None


def truncation_ratio(truncated: ArrayLike, cutoff: float = LARGEST_DEVIATION_PX) -> NDArray[np.float64]:
    """ρ = deviation of a Gaussian cut at ±`cutoff` over its true deviation, in 0.1 … 1, for each of `truncated` px.

    The largest ρ of the grid with |g(ρ)| < 0.01 (see the module), 0.1 where there is none, 1 for a deviation of 0.
    """
    scale = np.asarray(truncated, dtype=np.float64)[..., None]
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        place = cutoff / (scale * np.sqrt(2)) * GRID
        cut = 2 / np.sqrt(np.pi) * np.where(np.isfinite(place), place * np.exp(-np.square(place)), 0) / erf(place)
    fits = np.abs(1 - cut - np.square(GRID)) < TOLERANCE
    largest = len(GRID) - 1 - np.argmax(fits[..., ::-1], axis=-1)
    return np.where(fits.any(axis=-1), GRID[largest], GRID[0])


def estimate_noise(
    deviation: ArrayLike,
    usable: ArrayLike,
    *,
    largest: float = LARGEST_DEVIATION_PX,
    smallest: float = SMALLEST_DEVIATION_PX,
    least_usable_share: float = LEAST_USABLE_SHARE,
    corrected: bool = True,
) -> NoiseEstimate:
    """σ per channel from deviations of two maps, held within `smallest` … `largest` px and divided by √2.

    `deviation` [C, H, W] px; `usable` bool [H, W], further cut to deviations shorter than `largest`; `corrected`
    undoes the cut (see the module). Raises `ValueError` if the sizes differ.
    """
    channels = np.asarray(deviation, dtype=np.float32)
    allowed = np.asarray(usable, dtype=bool)
    if channels.ndim != 3 or channels.shape[1:] != allowed.shape:
        raise ValueError(
            f"Expected `deviation` (C, H, W) and `usable` (H, W) of one size, "
            f"but got {channels.shape} and {allowed.shape}."
        )
    with np.errstate(invalid="ignore", over="ignore"):
        short = np.sqrt(np.square(channels).sum(axis=0)) < np.float32(largest)
        counted = (allowed & short) & (np.abs(channels) <= np.float32(largest))
    share = np.count_nonzero(counted) / max(counted.size, 1)
    if share < least_usable_share:
        reason = (
            f"only {share:.1%} of the pixels could be compared forward and backward, where "
            f"{least_usable_share:.0%} are needed; the noise is assumed, not measured"
        )
        return NoiseEstimate(np.full(len(channels), smallest / np.sqrt(2)), reason)
    squares = np.where(counted, np.square(channels.astype(np.float64)), 0).sum(axis=(1, 2))
    cut = np.sqrt(squares / np.maximum(np.count_nonzero(counted, axis=(1, 2)), 1))
    sigma = cut / truncation_ratio(cut, largest) if corrected else cut
    return NoiseEstimate(np.clip(sigma, smallest, largest) / np.sqrt(2))


def flow_noise(forward: ArrayLike, backward: ArrayLike, *, reference: bool = False) -> NoiseEstimate:
    """σ of a flow along x and y, from flows [2, H, W] px both ways; `reference` as in `consistency.backward_warp`."""
    field = flow_field(forward)
    deviation = field + backward_warp(flow_field(backward), field, padding="zeros", reference=reference)
    return estimate_noise(deviation, inside_frame(field, reference=reference))


def disparity_noise(left_to_right: ArrayLike, right_to_left: ArrayLike, *, reference: bool = False) -> NoiseEstimate:
    """σ [1] of a disparity, from disparities [H, W] px of both eyes; `reference` as in `consistency.backward_warp`."""
    field, other = disparity_as_flow(left_to_right, -1), disparity_as_flow(right_to_left, 1)[:1]
    deviation = np.abs(-field[:1] - backward_warp(other, field, padding="zeros", reference=reference))
    return estimate_noise(deviation, inside_frame(field, reference=reference))
