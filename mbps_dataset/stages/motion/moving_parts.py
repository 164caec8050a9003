"""Parts of an image that move by themselves: pixels, the rigid motion that explains them, and what makes them a thing (ours).

Moving pixels that touch, eight ways, and whose disparities differ by little are one part, or several: of a part that no one
motion explains, the largest piece that its best motion does is taken, and the rest is looked at again. The motion is a shift
without a turn of its own, which few pixels determine; a free rigid motion, where that turns little and explains a tenth more.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from mbps_dataset.settings import Settings, setting
from mbps_dataset.stages.instances.components import join_pairs
from mbps_dataset.stages.motion.ego_motion import EgoMotion, unexplained
from mbps_dataset.stages.motion.likelihood import Observations, residuals
from mbps_dataset.stages.motion.pose import Projections, projections_of, refine_pose, reprojection_errors
from mbps_dataset.stages.motion.rotation_test import half_rotation


_FREE_MUST_EXPLAIN = 1.1
_FITTED_PX, _JUDGED_PX, _DRAWN_SHIFTS = 1500, 400, 60
_TUKEY, _ITERATIONS, _SMALLEST_STEP = 4.0, 15, 1e-5


@dataclass(frozen=True)
class IndependentMotionSettings(Settings, prefix="independent_motion."):
    """What counts as moving, and as one object. Raises `RecipeError` for a value out of range."""

    least_sigma_px: float = setting(0.3, "least standard deviation of flow and disparity in pixels", at_least=0.01)
    most_sigma_px: float = setting(1.0, "largest such standard deviation", at_least=0.01)
    least_distance: float = setting(25.0, "Mahalanobis distance squared from which a pixel moves", at_least=0)
    explained_distance: float = setting(9.0, "Mahalanobis distance squared up to which a motion explains", at_least=0)
    disparity_step: float = setting(0.06, "relative step of disparity between pixels of one part", at_least=0)
    least_part_px: int = setting(250, "reliable moving pixels of a part", at_least=1)
    least_explained: float = setting(0.6, "share of a part that its own motion must explain", at_least=0, at_most=1)
    least_gain: float = setting(
        1.6, "times better than the camera's motion a part's own must explain the images; 0 does not look", at_least=0
    )
    ground_m: float = setting(
        0.15, "metres above the ground up to which nothing is an object; 0 sees none", at_least=0
    )
    least_motion_px: float = setting(1.5, "pixels by which an object must move against the ego-motion", at_least=0)
    least_step_m: float = setting(0.05, "metres an object must move in a frame", at_least=0)
    largest_step_m: float = setting(5.0, "metres an object may move in a frame, at most", at_least=0)
    largest_turn: float = setting(0.03, "rad an object may turn in a frame, at most", at_least=0)
    largest_rise: float = setting(0.25, "share of a step that may be up or down", at_least=0, at_most=1)
    least_height_m: float = setting(0.25, "metres a part must extend up and down; roads do not", at_least=0)
    joined_within_m: float = setting(4.0, "metres between parts of one object", at_least=0)
    alike_motion: float = setting(
        0.25, "share of a part's motion by which that of a larger part of its object may lead elsewhere", at_least=0
    )
    seen_through: float = setting(
        0.2, "share of the way between two parts of one object that may lie behind them", at_least=0, at_most=1
    )
    motion_growth_px: int = setting(80, "pixels around an object in which its motion is looked for", at_least=0)
    growth_px: int = setting(2, "pixels by which objects grow into unknown motion", at_least=0, at_most=100)
    least_object_px: int = setting(400, "pixels of an object", at_least=1)


@dataclass(frozen=True)
class Part:
    """A part of the image with a motion of its own: flat pixel indices, motion, share explained by it alone."""

    pixels: NDArray[np.int64]
    transform: NDArray[np.float32]
    score: float


def moving_parts(
    moving: NDArray[np.bool_], observed: Observations, ego: EgoMotion, settings: IndependentMotionSettings, seed: int
) -> list[Part]:
    """The parts of `moving` [H, W] that move like things, largest first; see the module's head."""
    depth = observed.points_t[:, 2].reshape(moving.shape)
    parts, open_parts = [], like_parts(moving, depth, settings)
    while open_parts:
        pixels = open_parts.pop()
        own = observed.at(pixels)
        motion, explained = _best_motion(own, ego, settings, seed)
        if explained.mean() < settings.least_explained:
            pieces = like_parts(_mask(pixels[explained], moving.shape), depth, settings)
            if not pieces:
                continue
            rest = np.setdiff1d(pixels, pieces[0])
            open_parts += like_parts(_mask(rest, moving.shape), depth, settings)
            pixels = pieces[0]
            own = observed.at(pixels)
            explained = unexplained(motion, own) < settings.explained_distance
        if _is_a_thing(own.at(explained), motion, ego.transform, settings):
            alone = explained & (unexplained(ego.transform, own) > settings.explained_distance)
            parts.append(Part(pixels, motion, float(alone.mean())))
    return sorted(parts, key=lambda part: len(part.pixels), reverse=True)


def _mask(pixels: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    mask = np.zeros(shape, dtype=bool)
    mask.ravel()[pixels] = True
    return mask


def like_parts(
    moving: NDArray[np.bool_], depth: NDArray[np.float32], settings: IndependentMotionSettings
) -> list[NDArray[np.int64]]:
    """Flat pixel indices of the parts of `moving` [H, W] that touch and have a like disparity, largest first."""
    inside = np.flatnonzero(moving)
    rank = np.full(moving.shape, -1, dtype=np.int64)
    rank.ravel()[inside] = np.arange(len(inside))
    log_depth = np.log(np.maximum(depth, np.float32(1e-3)))
    height, width = moving.shape
    first, second = [], []
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        here = slice(0, height - down), slice(max(0, -right), width - max(0, right))
        there = slice(down, height), slice(max(0, right), width + min(0, right))
        linked = moving[here] & moving[there] & (np.abs(log_depth[here] - log_depth[there]) < settings.disparity_step)
        first.append(rank[here][linked])
        second.append(rank[there][linked])
    part = join_pairs(np.concatenate(first), np.concatenate(second), len(inside))
    groups = np.split(inside[np.argsort(part, kind="stable")], np.cumsum(np.bincount(part))[:-1])
    large = [group for group in groups if len(group) >= settings.least_part_px]
    return sorted(large, key=len, reverse=True)


def _best_motion(
    own: Observations, ego: EgoMotion, settings: IndependentMotionSettings, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The motion that explains most of a part, float32 [4, 4], and which of its pixels those are.

    A shift that turns as the camera does, or the free rigid motion near it; both robust, from evenly chosen pixels.
    """
    some = own.at(np.linspace(0, len(own) - 1, min(len(own), _FITTED_PX)).astype(np.int64))
    projections = projections_of(some)
    fit = partial(refine_pose, projections, iterations=_ITERATIONS, smallest_step=_SMALLEST_STEP)
    shift = _drawn_shift(some, projections, ego, seed)
    for robust in (2 * _TUKEY, _TUKEY):
        shift = fit(shift, robust=robust, turns=False).transform
    best = shift.astype(np.float32)
    explained = unexplained(best, own) < settings.explained_distance
    if _FREE_MUST_EXPLAIN * explained.mean() >= 1:
        return best, explained
    free = fit(shift, robust=_TUKEY).transform.astype(np.float32)
    more = unexplained(free, own) < settings.explained_distance
    turned = float(half_rotation(ego.transform, free)) * 2
    if turned <= settings.largest_turn and more.sum() > _FREE_MUST_EXPLAIN * explained.sum():
        return free, more
    return best, explained


def _drawn_shift(some: Observations, projections: Projections, ego: EgoMotion, seed: int) -> NDArray[np.float64]:
    """The motion of least robust cost that turns as the camera does and shifts as one pixel, drawn from `seed`, or as the
    middle of all; float64 [4, 4]."""
    judged = projections.at(np.linspace(0, len(some) - 1, min(len(some), _JUDGED_PX)).astype(np.int64))
    shifts = some.points_t1 - some.points_t @ ego.transform[:3, :3].T
    drawn = np.random.default_rng(seed).integers(len(some), size=_DRAWN_SHIFTS)
    best, least = ego.transform.astype(np.float64), np.inf
    for shift in (np.median(shifts, axis=0), *shifts[drawn]):
        trial = ego.transform.astype(np.float64)
        trial[:3, 3] = shift
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            cost = np.fmin(np.square(reprojection_errors(trial, judged)).sum(axis=0), (2 * _TUKEY) ** 2).sum()
        if cost < least:
            best, least = trial, cost
    return best


def _is_a_thing(
    held: Observations, own: NDArray[np.float32], ego: NDArray[np.float32], settings: IndependentMotionSettings
) -> bool:
    """Whether enough pixels move far enough against the camera's motion, and like a thing."""
    if len(held) < settings.least_part_px:
        return False
    apart = residuals(own, held)[0][:2] - residuals(ego, held)[0][:2]
    return bool(np.median(np.hypot(*apart)) >= settings.least_motion_px) and _moves_like_a_thing(
        held, own, ego, settings
    )


def _moves_like_a_thing(
    held: Observations, own: NDArray[np.float32], ego: NDArray[np.float32], settings: IndependentMotionSettings
) -> bool:
    """Whether a part stands up and goes along the ground by a step of the right size."""
    low, high = np.percentile(held.points_t[:, 1], (5, 95))
    middle = np.append(np.median(held.points_t, axis=0), np.float32(1))
    step = ((own - ego) @ middle)[:3]
    size = float(np.linalg.norm(step))
    return (
        high - low >= settings.least_height_m
        and settings.least_step_m <= size <= settings.largest_step_m
        and abs(float(step[1])) <= settings.largest_rise * size
    )
