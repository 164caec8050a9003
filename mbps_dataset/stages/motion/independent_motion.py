"""Independent motion: objects from what the ego-motion does not explain (ours), in a fraction of the time of eight runs.

1. The ego-motion (`ego_motion`), and the spread of its residuals as standard deviations: the flow's own have a floor of
   2 px, which hides what is far or slow. A pixel moves when its Mahalanobis distance squared is above 25 and it is not
   of the ground (`ground`), on which flow is wrong most often.
2. Moving pixels that touch and have a like disparity and one rigid motion are one part (`moving_parts`), if they move like
   a thing on a street: it stands up, turns little, and goes along the ground by a step of the right size.
3. The images are looked at again: the part's motion must explain them better than the ego-motion does, whatever flow and
   disparity say (`photometric_test`). Flow that went wrong, where there is no texture or something was covered, does not.
4. Parts that move like a larger one near it, with no background seen in between, are of its object (`joined_parts`).
5. Scene flow is not reliable around depth edges and on smooth surfaces, so objects grow: into free pixels in their range
   of depth whose flow is explained by their motion better than by the ego-motion, into what makes their shape whole
   (`solid_shape`), then by a few pixels of a like disparity; holes are filled. The ground and pixels known to stand still are
   never taken.

The score of an object is the share of its largest part that its own motion explains and the ego-motion does not. The numbers
were chosen on 52 rendered scenes with estimated flow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mbps_dataset.stages.motion.ego_motion import EgoMotion, estimate_ego_motion, unexplained
from mbps_dataset.stages.motion.ensemble import MovingObjects
from mbps_dataset.stages.motion.ground import height_above_ground
from mbps_dataset.stages.motion.hole_filling import fill_holes
from mbps_dataset.stages.motion.joined_parts import Joined, joined_parts
from mbps_dataset.stages.motion.likelihood import Observations, residual_sigmas, residuals
from mbps_dataset.stages.motion.moving_parts import IndependentMotionSettings, Part, moving_parts
from mbps_dataset.stages.motion.photometric_test import StereoImages, StereoView
from mbps_dataset.stages.motion.rigid_run import observe
from mbps_dataset.stages.motion.scene_flow import LEAST_RELIABLE_PX, SceneFlow
from mbps_dataset.stages.motion.solid_shape import solid_shape


def independent_motion(
    flow: SceneFlow,
    settings: IndependentMotionSettings | None = None,
    *,
    images: StereoImages | None = None,
    seed: int = 0,
) -> MovingObjects:
    """The moving objects of an image, largest first; the same `seed` gives the same objects. See the module's head.

    The standard deviations are those of the settings, not of `flow`, whose floor of 2 px hides what is far or slow. Without
    `images`, of the flow's size, step 3 is left out. Raises `ValueError` if they have another size.
    """
    chosen = settings or IndependentMotionSettings()
    shape = flow.reliable.shape[0], flow.reliable.shape[1]
    if images is not None and images.left.shape[:2] != shape:
        raise ValueError(f"Expected images of the flow's size {shape}, but got {images.left.shape[:2]}.")
    if flow.reason is not None:
        return MovingObjects.none(shape, flow.reason)
    ground = _ground(flow, chosen, seed)
    observed = observe(flow)
    ego = estimate_ego_motion(observed, seed=seed)
    if ego.reason is not None:
        return MovingObjects.none(shape, ego.reason)
    observed = replace(observed, sigmas=_sigmas(ego, observed, ground, chosen))
    ego = estimate_ego_motion(observed, seed=seed)
    distance = np.full(len(observed), np.float32(0))
    known = np.flatnonzero(observed.reliable)
    distance[known] = unexplained(ego.transform, observed.at(known))
    moving = (distance > chosen.least_distance).reshape(shape) & ~ground
    parts = moving_parts(moving, observed, ego, chosen, seed)
    if not parts:
        return MovingObjects.none(shape, _why_none(int(moving.sum()), chosen))
    if images is not None:
        view = StereoView(images, flow.intrinsics, flow.baseline)
        parts = [part for part in parts if _gain(view, part, observed, ego) >= chosen.least_gain]
    if not parts:
        return MovingObjects.none(shape, "the camera's motion explains the images of every moving part as well")
    static = (flow.reliable & ~moving) | ground
    objects = joined_parts(parts, observed, ego, shape, chosen, seed)
    return _objects(objects, flow, observed, ego, static, chosen)


def _ground(flow: SceneFlow, settings: IndependentMotionSettings, seed: int) -> NDArray[np.bool_]:
    """Pixels of known depth up to `ground_m` above the ground plane, or below it, bool [H, W]."""
    if not settings.ground_m:
        return np.zeros(flow.reliable.shape, dtype=bool)
    height = height_above_ground(flow.points_t, flow.intrinsics, flow.baseline, seed=seed)
    if height is None:
        return np.zeros(flow.reliable.shape, dtype=bool)
    return (height < settings.ground_m) & (flow.points_t[..., 2] > 0)


def _sigmas(
    ego: EgoMotion, observed: Observations, ground: NDArray[np.bool_], settings: IndependentMotionSettings
) -> NDArray[np.float32]:
    """Spread of what is reliable and not of the ground, where flow is worst; of all if the ground is nearly all."""
    off_ground = observed.reliable & ~ground.ravel()
    judged = off_ground if 2 * LEAST_RELIABLE_PX <= off_ground.sum() else observed.reliable
    sigmas = residual_sigmas(ego.transform, observed.at(judged), settings.least_sigma_px)
    return np.minimum(sigmas, np.float32(settings.most_sigma_px))


def _gain(view: StereoView, part: Part, observed: Observations, ego: EgoMotion) -> float:
    own = observed.at(part.pixels)
    disparities = observed.intrinsics[0, 0] * observed.baseline / own.points_t[:, 2]
    return view.gain(ego.transform, part.transform, own.pixels, disparities)


def _why_none(moving: int, settings: IndependentMotionSettings) -> str:
    if moving < settings.least_part_px:
        return f"the camera's own motion explains all but {moving} reliable pixels"
    return f"{moving} pixels are not explained by the camera's motion, but no part of them moves as one body"


def _objects(
    objects: Sequence[Joined],
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
    depth = flow.points_t[..., 2]
    for number in range(len(objects), 0, -1):
        held = labels == number
        free = (labels == 0) & ~static
        labels[solid_shape(held, depth, free, disparity_step=settings.disparity_step)] = number
    labels = grow_labels(labels, depth, static, settings)
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
