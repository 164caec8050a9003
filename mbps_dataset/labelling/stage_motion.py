"""Stage: objects that move by themselves, classes unknown, and the reason where none was found (CUPS 3.2; our own way)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from mbps_dataset.arrays import SemanticMap
from mbps_dataset.errors import InputError
from mbps_dataset.labelling.stage import Arrays, Run, Stage, Visit, never
from mbps_dataset.labelling.stage_flow import (
    FLOW,
    coded_text,
    decoded_text,
    flow_camera,
    flow_size,
    stereo_images,
    stereo_motion,
)
from mbps_dataset.recipe import Recipe
from mbps_dataset.sources import Frame
from mbps_dataset.sources.stereo_video import read_stereo_video
from mbps_dataset.stage_settings import MotionSettings
from mbps_dataset.stages.instances import Instances
from mbps_dataset.stages.motion.alignment import align_semantics
from mbps_dataset.stages.motion.ensemble import MovingObjects
from mbps_dataset.stages.motion.independent_motion import independent_motion
from mbps_dataset.stages.motion.instance_maps import map_of_instances
from mbps_dataset.stages.motion.moving_parts import IndependentMotionSettings
from mbps_dataset.stages.motion.photometric_test import StereoImages
from mbps_dataset.stages.motion.rigid_motion import rigid_motion
from mbps_dataset.stages.motion.rigid_settings import RigidMotionSettings
from mbps_dataset.stages.motion.scene_flow import SceneFlow, scene_flow, within_margins
from mbps_dataset.stages.motion.thing_statistics import MotionCounts, count_motion


def _key(run: Run) -> tuple[object, ...]:
    return run.key(FLOW), run.recipe.deciding_settings()["motion"]


def _compute(visit: Visit) -> Arrays:
    found = _found(visit)
    return dict(found.instances().to_arrays()) | {"reason": coded_text(found.reason)}


def _found(visit: Visit) -> MovingObjects:
    motion, settings = stereo_motion(visit), visit.recipe.motion
    height, width = flow_size(visit.recipe.flow, visit.image.shape[0], visit.image.shape[1])
    if isinstance(motion, str):
        return MovingObjects.none((height, width), motion)
    camera = flow_camera(visit)
    if camera is None:
        raise InputError(f"{visit.frame.image_id}: its camera has gone since flow was found; start again.")
    flow = scene_flow(
        motion,
        camera.intrinsics,
        camera.baseline_m,
        valid_pixels=within_margins(
            (height, width), columns=int(settings.sides * width), top=settings.top, bottom=settings.bottom
        ),
        depth_range=(settings.nearest_m, settings.farthest_m),
        reference=settings.geometry == "reference",
    )
    looks_again = settings.method == "independent" and flow.reason is None
    images = stereo_images(read_stereo_video(visit.frame), visit.recipe.flow) if looks_again else None
    return find_moving_objects(flow, settings, images)


def find_moving_objects(
    flow: SceneFlow, settings: MotionSettings, images: StereoImages | None = None
) -> MovingObjects:
    """The objects of a scene flow by the recipe's method; the same settings give the same objects.

    `images` are those that flow was found in, at its size: 'independent' looks at them again, where they are given.
    """
    given = {
        name: value
        for name in ("least_motion_px", "least_object_px")
        if (value := getattr(settings, name)) is not None
    }
    if settings.method == "independent":
        chosen = replace(IndependentMotionSettings(), **given)
        return independent_motion(flow, chosen, images=images, seed=settings.seed)
    rigid = RigidMotionSettings(
        reference=settings.geometry == "reference",
        runs=settings.runs,
        agreement=settings.agreement,
        corners_connect=settings.connectivity == 8,
    )
    return rigid_motion(flow, replace(rigid, **given), seed=settings.seed)


def _runs(recipe: Recipe) -> bool:
    return recipe.needs_motion


MOTION = Stage("motion", "moving objects", 3, never, _key, _compute, FLOW.inputs, _runs)


def moving_objects(visit: Visit, height: int, width: int) -> Instances:
    """The moving objects of a frame, classes unknown, masks [height, width]."""
    found = Instances.from_arrays({name: a for name, a in visit.result(MOTION).items() if name != "reason"})
    return found if found.shape == (height, width) else found.resized(height, width)


def why_nothing_moves(visit: Visit) -> str | None:
    """Why no moving object was found, or None where some were."""
    return decoded_text(visit.result(MOTION)["reason"])


def aligned_classes(visit: Visit, semantic: SemanticMap) -> SemanticMap:
    """The class map [H, W] in which every moving object has the class of most of its pixels; as it is without
    `fusion.align_objects`."""
    if not visit.recipe.fusion.align_objects:
        return semantic
    height, width = semantic.shape
    return align_semantics(semantic, map_of_instances(moving_objects(visit, height, width))).semantic


def counted_motion(visit: Visit, semantic: SemanticMap, classes: int) -> MotionCounts:
    """What `thing_statistics` counts of one frame: `semantic` [H, W] is aligned first, if the recipe aligns it."""
    height, width = semantic.shape
    return count_motion(
        aligned_classes(visit, semantic), map_of_instances(moving_objects(visit, height, width)), classes
    )


def motion_summary(run: Run, frames: Iterable[Frame]) -> dict[str, Any]:
    """How many images had moving objects, how many objects, and the reasons of the others, counted.

    For a recipe that takes depth alone from two eyes, objects are none, and the reasons why there is no depth. Numbers in
    reasons are left out, so that one reason is one line. Images that cannot be read are not counted.
    """
    stage = MOTION if run.recipe.needs_motion else FLOW
    with_objects = objects = 0
    reasons: Counter[str] = Counter()
    for frame in frames:
        try:
            result = run.visit(frame).result(stage)
        except InputError:
            continue
        found = len(result.get("class_ids", ()))
        with_objects, objects = with_objects + (found > 0), objects + found
        if (reason := decoded_text(result["reason"])) is not None:
            reasons[re.sub(r"-?\d+(?:[.,]\d+)*", "…", reason)] += 1
    return {"images_with_objects": with_objects, "objects": objects, "reasons": dict(reasons.most_common())}
