"""Stage: depth of an image by a network, from files or from two eyes (report 2.2), and its forms at the sizes needed."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mbps_dataset.labelling.stage import Arrays, Run, Stage, Visit, as_numpy, never, one_thread
from mbps_dataset.labelling.stage_flow import FLOW, stereo_depth
from mbps_dataset.recipe import Recipe
from mbps_dataset.resizing import resize_nearest
from mbps_dataset.sources import Frame
from mbps_dataset.sources.depth_files import DepthFiles
from mbps_dataset.sources.images import DIGESTS
from mbps_dataset.stages import depth
from mbps_dataset.store import digest_of


_NETWORKS = {"spidepth": "spidepth", "transformers": "depth_estimation"}
"""Network of each method of `depth.method` that runs one."""

_AFTERWARDS = ("inverse", "largest", "max_depth")
"""Settings that decide what is made of the stage's depth, not what it is."""


def _key(run: Run) -> tuple[object, ...]:
    settings = {k: v for k, v in run.recipe.deciding_settings()["depth"].items() if k not in _AFTERWARDS}
    method = run.recipe.depth.method
    if method == "stereo":
        return "stereo", run.key(FLOW), run.recipe.depth.confirmed  # nothing else decides
    network = _NETWORKS.get(method)
    return run.device_type, settings, None if network is None else run.contents[network]


def _files(run: Run) -> DepthFiles | None:
    """Depth that someone else made, if the recipe takes it from files. Raises `InputError`."""
    if run.recipe.depth.method != "files":
        return None
    return run.once("depth files", lambda: _opened_files(run))


def _opened_files(run: Run) -> DepthFiles:
    settings, image_ids = run.recipe.depth, frozenset(frame.image_id for frame in run.source_frames())
    return DepthFiles(Path(str(settings.files)), settings.files_kind, settings.files_scale, image_ids=image_ids)


def _inputs(run: Run, frame: Frame) -> str:
    if run.recipe.depth.method == "stereo":
        return FLOW.inputs(run, frame)
    files = _files(run)
    return frame.digest() if files is None else digest_of(frame.digest(), DIGESTS.digest(files.path(frame.image_id)))


def _compute(visit: Visit) -> Arrays:
    settings, files = visit.recipe.depth, _files(visit.run)
    if files is not None:
        return {"depth": files.read(visit.frame.image_id)}
    if settings.method == "stereo":
        return {"depth": stereo_depth(visit, confirmed=settings.confirmed)}
    image = depth.crop_ego_car(visit.image, settings.ego_crop) if settings.ego_crop else visit.image
    prepared = depth.prepare(image, height=settings.height, width=settings.width).to(visit.run.device)
    network = visit.run.network(_NETWORKS[settings.method])
    return {"depth": as_numpy(depth.predict(network, prepared, flip=settings.flip))}


DEPTH = Stage("depth", "depth", 2, never, _key, _compute, _inputs)


@one_thread()
def depth_map(visit: Visit, height: int, width: int) -> NDArray[np.float32]:
    """Un-normalised depth float32 [height, width], clipped; 0 (unknown) where the image bottom was cropped."""
    predicted, _ = clipped_depth(visit)
    if visit.recipe.depth.method == "stereo":  # has gaps, which nothing between them and a depth may blur
        return resize_nearest(predicted, height, width)
    seen = height - round(height * visit.recipe.depth.ego_crop)
    if seen == height and predicted.shape != (height, width):
        return depth.resize(predicted, height, width)  # not copied: large pictures fill the memory
    full = np.zeros((height, width), dtype=np.float32)
    full[:seen] = depth.resize(predicted, seen, width)
    return full


def clipped_depth(visit: Visit) -> tuple[NDArray[np.float32], int]:
    """Depth as the stage gave it, float32 [h, w], in which what the recipe's bound leaves out is clipped to it; how many."""
    predicted = visit.result(DEPTH)["depth"]
    largest = visit.recipe.depth.max_depth or math.inf
    if _without_strays(visit.recipe):
        largest = min(largest, depth.largest_without_strays(predicted))
    return depth.clip(predicted, largest)


def _without_strays(recipe: Recipe) -> bool:
    settings = recipe.depth
    return settings.largest == "without-strays" or (settings.largest == "auto" and settings.method != "spidepth")


def depth_shape(recipe: Recipe, depth_map: NDArray[np.floating]) -> NDArray[np.float32]:
    """What instances are cut on: depth (or inverse depth) in [0, 1] per image, gaps filled; float32 [H, W]."""
    known = depth.fill_unknown(depth_map)
    if not recipe.depth.inverse:
        return depth.to_unit_range(known)
    inverse = depth.invert(known)
    if _without_strays(recipe):  # here it is a stray near pixel that would leave no range
        inverse, _ = depth.clip(inverse, depth.largest_without_strays(inverse))
    return depth.to_unit_range(inverse)
