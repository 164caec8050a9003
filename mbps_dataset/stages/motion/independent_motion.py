"""Independent motion: objects from what the ego-motion does not explain (ours), in a fraction of the time of eight runs.

1. The ego-motion (`ego_motion`), and the spread of its residuals as standard deviations: the flow's own have a floor of
   2 px, which hides what is far or slow. A pixel moves when its Mahalanobis distance squared is above 25.
2. Moving pixels that touch, eight ways, and whose disparities differ by little are one part.
3. A part is an object only if one rigid motion of its own explains it, found like the ego-motion, and if it moves like
   a thing on a street: it stands up, turns little, and goes along the ground by a step of the right size. Flow that went
   wrong, where there is no texture or something was covered or left the image, does not.
4. Parts that the motion of a larger one explains, and that are near it in space, are of its object.
5. Scene flow is not reliable around depth edges and on smooth surfaces, so objects grow: into free pixels in their range
   of depth whose flow is explained by their motion better than by the ego-motion, then by a few pixels of a like
   disparity; holes are filled. Pixels known to stand still are never taken.

The score of an object is the share of its largest part that its own motion explains and the ego-motion does not. The numbers
were chosen on 25 rendered scenes with estimated flow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mbps_dataset.settings import Settings, setting
from mbps_dataset.stages.instances.components import join_pairs
from mbps_dataset.stages.motion.ego_motion import EgoMotion, estimate_ego_motion, unexplained
from mbps_dataset.stages.motion.ensemble import MovingObjects
from mbps_dataset.stages.motion.hole_filling import fill_holes
from mbps_dataset.stages.motion.likelihood import Observations, residual_sigmas, residuals
from mbps_dataset.stages.motion.rigid_run import observe
from mbps_dataset.stages.motion.rotation_test import half_rotation
from mbps_dataset.stages.motion.scene_flow import SceneFlow


@dataclass(frozen=True)
class IndependentMotionSettings(Settings, prefix="independent_motion."):
    """What counts as moving, and as one object. Raises `RecipeError` for a value out of range."""

    least_sigma_px: float = setting(0.3, "least standard deviation of flow and disparity in pixels", at_least=0.01)
    least_distance: float = setting(25.0, "Mahalanobis distance squared from which a pixel moves", at_least=0)
    explained_distance: float = setting(9.0, "Mahalanobis distance squared up to which a motion explains", at_least=0)
    disparity_step: float = setting(0.06, "relative step of disparity between pixels of one part", at_least=0)
    least_part_px: int = setting(250, "reliable moving pixels of a part", at_least=1)
    least_explained: float = setting(0.6, "share of a part that its own motion must explain", at_least=0, at_most=1)
    least_motion_px: float = setting(1.5, "pixels by which an object must move against the ego-motion", at_least=0)
    least_step_m: float = setting(0.05, "metres an object must move in a frame", at_least=0)
    largest_step_m: float = setting(5.0, "metres an object may move in a frame, at most", at_least=0)
    largest_turn: float = setting(0.03, "rad an object may turn in a frame, at most", at_least=0)
    largest_rise: float = setting(0.25, "share of a step that may be up or down", at_least=0, at_most=1)
    least_height_m: float = setting(0.25, "metres a part must extend up and down; roads do not", at_least=0)
    joined_within_m: float = setting(2.0, "metres between parts of one object", at_least=0)
    motion_growth_px: int = setting(80, "pixels around an object in which its motion is looked for", at_least=0)
    growth_px: int = setting(4, "pixels by which objects grow into unknown motion", at_least=0, at_most=100)
    least_object_px: int = setting(400, "pixels of an object", at_least=1)


@dataclass(frozen=True)
class _Part:
    """A part of the image with a motion of its own: flat pixel indices, motion, share explained by it alone."""

    pixels: NDArray[np.int64]
    transform: NDArray[np.float32]
    score: float


def independent_motion(
    flow: SceneFlow, settings: IndependentMotionSettings | None = None, *, seed: int = 0
) -> MovingObjects:
    """The moving objects of an image, largest first; the same `seed` gives the same objects. See the module's head.

    The standard deviations are those of the settings, not of `flow`, whose floor of 2 px hides what is far or slow.
    """
    chosen = settings or IndependentMotionSettings()
    shape = flow.reliable.shape[0], flow.reliable.shape[1]
    if flow.reason is not None:
        return MovingObjects.none(shape, flow.reason)
    observed = observe(flow)
    ego = estimate_ego_motion(observed, seed=seed)
    if ego.reason is not None:
        return MovingObjects.none(shape, ego.reason)
    sigmas = residual_sigmas(ego.transform, observed.at(observed.reliable), chosen.least_sigma_px)
    observed = replace(observed, sigmas=sigmas)
    ego = estimate_ego_motion(observed, seed=seed)
    distance = np.full(len(observed), np.float32(0))
    known = np.flatnonzero(observed.reliable)
    distance[known] = unexplained(ego.transform, observed.at(known))
    moving = distance > chosen.least_distance
    parts = [
        part
        for pixels in like_parts(moving.reshape(shape), flow.points_t[..., 2], chosen)
        if (part := _rigid_part(pixels, observed, ego, chosen, seed)) is not None
    ]
    if not parts:
        return MovingObjects.none(shape, _why_none(int(moving.sum()), chosen))
    static = (observed.reliable & ~moving).reshape(shape)
    return _objects(_joined(parts, observed, chosen), flow, observed, ego, static, chosen)


def _why_none(moving: int, settings: IndependentMotionSettings) -> str:
    if moving < settings.least_part_px:
        return f"the camera's own motion explains all but {moving} reliable pixels"
    return f"{moving} pixels are not explained by the camera's motion, but no part of them moves as one body"


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


def _rigid_part(
    pixels: NDArray[np.int64], observed: Observations, ego: EgoMotion, settings: IndependentMotionSettings, seed: int
) -> _Part | None:
    """Step 3 for one part, None where it is no object."""
    own = observed.at(pixels)
    motion = estimate_ego_motion(own, seed=seed)
    explained = unexplained(motion.transform, own) < settings.explained_distance
    if motion.reason is not None or explained.mean() < settings.least_explained:
        return None
    held = own.at(explained)
    apart = residuals(motion.transform, held)[0][:2] - residuals(ego.transform, held)[0][:2]
    if np.median(np.hypot(*apart)) < settings.least_motion_px:
        return None
    if not _moves_like_a_thing(held, motion.transform, ego.transform, settings):
        return None
    alone = explained & (unexplained(ego.transform, own) > settings.explained_distance)
    return _Part(pixels, motion.transform, float(alone.mean()))


def _moves_like_a_thing(
    held: Observations, own: NDArray[np.float32], ego: NDArray[np.float32], settings: IndependentMotionSettings
) -> bool:
    """Whether a part stands up, turns little, and goes along the ground by a step of the right size."""
    low, high = np.percentile(held.points_t[:, 1], (5, 95))
    turned = float(half_rotation(ego, own)) * 2
    middle = np.append(np.median(held.points_t, axis=0), np.float32(1))
    step = ((own - ego) @ middle)[:3]
    size = float(np.linalg.norm(step))
    return (
        high - low >= settings.least_height_m
        and turned <= settings.largest_turn
        and settings.least_step_m <= size <= settings.largest_step_m
        and abs(float(step[1])) <= settings.largest_rise * size
    )


def _joined(
    parts: Sequence[_Part], observed: Observations, settings: IndependentMotionSettings
) -> list[tuple[_Part, list[NDArray[np.int64]]]]:
    """Step 4: each object's largest part, and the pixels of all its parts."""
    objects: list[tuple[_Part, list[NDArray[np.int64]]]] = []
    for part in parts:
        own = observed.at(part.pixels)
        for whole, pixels in objects:
            explained = (unexplained(whole.transform, own) < settings.least_distance).mean()
            if explained >= settings.least_explained and _are_near(pixels, own, observed, settings.joined_within_m):
                pixels.append(part.pixels)
                break
        else:
            objects.append((part, [part.pixels]))
    return objects


def _are_near(pixels: Sequence[NDArray[np.int64]], own: Observations, observed: Observations, within_m: float) -> bool:
    """Whether the boxes around two sets of points, without their outermost 2 %, are within reach of each other."""
    low, high = np.percentile(own.points_t, (2, 98), axis=0)
    for others in pixels:
        other_low, other_high = np.percentile(observed.points_t[others], (2, 98), axis=0)
        gaps = np.maximum(np.maximum(low - other_high, other_low - high), 0)
        if np.linalg.norm(gaps) <= within_m:
            return True
    return False


def _objects(
    objects: Sequence[tuple[_Part, list[NDArray[np.int64]]]],
    flow: SceneFlow,
    observed: Observations,
    ego: EgoMotion,
    static: NDArray[np.bool_],
    settings: IndependentMotionSettings,
) -> MovingObjects:
    """Step 5, and numbers by falling size of the largest part."""
    shape = static.shape[0], static.shape[1]
    labels = np.zeros(shape, dtype=np.int32)
    for number, (_, pixels) in enumerate(objects, start=1):
        labels.ravel()[np.concatenate(pixels)] = number
    for number, (part, _) in enumerate(objects, start=1):
        _grow_by_motion(labels, number, part.transform, observed, ego, static, settings)
    labels = grow_labels(labels, flow.points_t[..., 2], static, settings)
    scores, out = [], np.zeros_like(labels)
    for number, (part, _) in enumerate(objects, start=1):
        mask = fill_holes(labels == number) & ((labels == number) | (labels == 0))
        if np.count_nonzero(mask) >= settings.least_object_px:
            scores.append(part.score)
            out[mask] = len(scores)
    if not scores:
        return MovingObjects.none(
            (labels.shape[0], labels.shape[1]), f"every moving part has fewer than {settings.least_object_px} pixels"
        )
    return MovingObjects(out, np.array(scores))


def _grow_by_motion(
    labels: NDArray[np.int32],
    number: int,
    transform: NDArray[np.float32],
    observed: Observations,
    ego: EgoMotion,
    static: NDArray[np.bool_],
    settings: IndependentMotionSettings,
) -> None:
    """Gives one object the free pixels around it whose depth is in its range and whose flow is its own, in place."""
    rows, columns = np.nonzero(labels == number)
    reach = settings.motion_growth_px
    window = (
        slice(max(rows.min() - reach, 0), rows.max() + reach + 1),
        slice(max(columns.min() - reach, 0), columns.max() + reach + 1),
    )
    index = np.arange(labels.size).reshape(labels.shape)[window]
    depth = observed.points_t[:, 2][index]
    nearest, farthest = np.percentile(observed.points_t[np.flatnonzero(labels == number), 2], (2, 98))
    free = (labels[window] == 0) & ~static[window]
    free &= (depth >= nearest * (1 - settings.disparity_step)) & (depth <= farthest * (1 + settings.disparity_step))
    there = observed.at(index[free])
    own, others = (
        np.square(residuals(motion, there)[0][:2] / observed.sigmas[:2, None]).sum(axis=0)
        for motion in (transform, ego.transform)
    )
    alike = np.zeros_like(free)
    alike[free] = (own < settings.least_distance) & (own < others)
    seeds = labels[window] == number
    inside = ndimage.binary_closing(seeds | alike, iterations=2, border_value=0) & ((labels[window] == 0) | seeds)
    inside &= ~static[window] | seeds
    grown = ndimage.binary_propagation(seeds, structure=np.ones((3, 3)), mask=inside | seeds)
    labels[window][grown] = number


def grow_labels(
    labels: NDArray[np.int32],
    depth: NDArray[np.float32],
    static: NDArray[np.bool_],
    settings: IndependentMotionSettings,
) -> NDArray[np.int32]:
    """Labels [H, W] grown pixel by pixel into unlabelled pixels that are not `static` and whose disparity is like that of
    the neighbour they grow from. Four ways; the larger number wins where two meet."""
    out = labels.copy()
    log_depth = np.where(depth > 0, np.log(np.maximum(depth, np.float32(1e-3))), np.float32(np.inf))
    cross = ndimage.generate_binary_structure(2, 1)
    for _ in range(settings.growth_px):
        grown = ndimage.grey_dilation(out, footprint=cross)
        front = (grown > 0) & (out == 0) & ~static & np.isfinite(log_depth)
        rows, columns = np.nonzero(front)
        taken = np.zeros(len(rows), dtype=bool)
        for down, right in ((0, 1), (0, -1), (1, 0), (-1, 0)):
            near = np.clip(rows + down, 0, out.shape[0] - 1), np.clip(columns + right, 0, out.shape[1] - 1)
            step = np.abs(log_depth[near] - log_depth[rows, columns])
            taken |= (out[near] == grown[rows, columns]) & (step < settings.disparity_step)
        if not taken.any():
            break
        out[rows[taken], columns[taken]] = grown[rows[taken], columns[taken]]
    return out
