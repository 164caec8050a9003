"""Parts of one object: what moves like a larger part and has no background in between (ours).

Smooth and dark surfaces have no reliable flow, so that of a car often only the ends are found, each as a part of its own. Two
parts belong to one object when

* at the smaller one both motions lead to nearly the same places: the median of |x₁ − x₂| in the next left image is at most
  `alike_motion` of the median distance that the part moves against the camera's motion;
* they are near each other in space; and
* between them nothing farther is seen. An object is solid: along lines from one part to the other, at most `seen_through` of
  the pixels (median line) have a disparity clearly below that of the line. A pole in front parts nothing, a gap between two
  cars does.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mbps_dataset.stages.motion.ego_motion import EgoMotion
from mbps_dataset.stages.motion.likelihood import Observations, residuals
from mbps_dataset.stages.motion.moving_parts import IndependentMotionSettings, Part


_LINES, _PLACES = 200, 60
_BEHIND = 0.85
"""Share of the line's disparity below which a pixel lies behind it."""

Joined = tuple[Part, list[NDArray[np.int64]]]
"""An object: its largest part, and the flat pixel indices of all its parts."""


def joined_parts(
    parts: Sequence[Part],
    observed: Observations,
    ego: EgoMotion,
    shape: tuple[int, int],
    settings: IndependentMotionSettings,
    seed: int,
) -> list[Joined]:
    """The objects that `parts`, largest first, make up; `observed` of every pixel of an image of `shape` (H, W)."""
    depth = observed.points_t[:, 2].reshape(shape)
    objects: list[Joined] = []
    for part in parts:
        own = observed.at(part.pixels)
        for whole, pixels in objects:
            if _move_alike(whole, part, own, ego, settings.alike_motion) and any(
                _gap_m(own, observed.at(others)) <= settings.joined_within_m
                and _seen_through(own, observed.at(others), depth, seed) <= settings.seen_through
                for others in pixels
            ):
                pixels.append(part.pixels)
                break
        else:
            objects.append((part, [part.pixels]))
    return objects


def _move_alike(whole: Part, part: Part, own: Observations, ego: EgoMotion, share: float) -> bool:
    """Whether the motion of `whole` leads the pixels of `part` to nearly where its own does."""
    by_whole, by_own, by_camera = (
        residuals(motion, own)[0][:2] for motion in (whole.transform, part.transform, ego.transform)
    )
    apart, moved = np.median(np.hypot(*(by_whole - by_own))), np.median(np.hypot(*(by_own - by_camera)))
    return bool(apart <= share * moved)


def _gap_m(one: Observations, other: Observations) -> float:
    """Metres between the boxes around two sets of points, each without its outermost 2 %."""
    (low, high), (other_low, other_high) = (np.percentile(each.points_t, (2, 98), axis=0) for each in (one, other))
    return float(np.linalg.norm(np.maximum(np.maximum(low - other_high, other_low - high), 0)))


def _seen_through(one: Observations, other: Observations, depth: NDArray[np.float32], seed: int) -> float:
    """Median over lines from part to part of the share of pixels that lie behind them; `depth` [H, W] m, 0 is unknown."""
    draws = np.random.default_rng(seed)
    here, there = (each.at(draws.integers(len(each), size=_LINES)) for each in (one, other))
    along = np.linspace(0, 1, _PLACES)[:, None]
    columns, rows = (
        np.rint(start + along * (end - start)).astype(np.int64) for start, end in zip(here.pixels, there.pixels)
    )
    from_depth, to_depth = 1 / here.points_t[:, 2], 1 / there.points_t[:, 2]
    seen = depth[rows, columns]
    behind = (seen > 0) & (1 / np.maximum(seen, 1e-3) < _BEHIND * (from_depth + along * (to_depth - from_depth)))
    return float(np.median(behind.mean(axis=0)))
