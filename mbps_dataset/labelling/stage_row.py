"""Stage: the row of an image, from instances and fusion (report 2.3, 2.5) to the coded columns; the last one.

A row without its `image` column is a stored result like any other. Cutting instances and coding maps takes as long as a
small network does, so workers do it in parallel, and Parquet files are then put together from stored rows in any
grouping. The original image is not kept a second time: it is read from its source when the row is written. `preview` is
kept with the row, and left out when it is written if the recipe wants none.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mbps_dataset.arrays import SemanticMap
from mbps_dataset.errors import InputError
from mbps_dataset.labelling.drawing import encode_preview
from mbps_dataset.labelling.instance_methods import Evidence, find
from mbps_dataset.labelling.stage import Arrays, Run, Stage, Visit, always, one_thread
from mbps_dataset.labelling.stage_codes import CODES, LOW_CODES
from mbps_dataset.labelling.stage_cuts import CUT_OBJECTS, objects
from mbps_dataset.labelling.stage_depth import DEPTH, clipped_depth, depth_map, depth_shape
from mbps_dataset.labelling.stage_flow import FLOW
from mbps_dataset.labelling.stage_motion import MOTION, aligned_classes, moving_objects
from mbps_dataset.labelling.stage_pseudo_classes import PSEUDO_CLASSES, class_map
from mbps_dataset.labelling.stage_saliency import SALIENCY
from mbps_dataset.recipe import Recipe
from mbps_dataset.records import FORMAT_VERSION, LabelledImage, encode
from mbps_dataset.resizing import resize_nearest
from mbps_dataset.sources import Frame
from mbps_dataset.stages import fusion
from mbps_dataset.stages.instances import Instances
from mbps_dataset.stages.motion.alignment import objects_as_things
from mbps_dataset.stages.motion.instance_maps import map_of_instances
from mbps_dataset.store import digest_of


_FILES_ONLY = {"rows_per_shard", "with_images", "with_preview"}
"""Settings that decide how rows are filed, not what they say."""


MADE_FROM = (CODES, LOW_CODES, FLOW, DEPTH, PSEUDO_CLASSES, MOTION, SALIENCY, CUT_OBJECTS)
"""Every stage that a row may rest on, in the order the data takes."""


def made_from(recipe: Recipe) -> tuple[Stage, ...]:
    """Those of `MADE_FROM` that a row of this recipe rests on."""
    return tuple(stage for stage in MADE_FROM if stage.runs(recipe))


def _key(run: Run) -> tuple[object, ...]:
    settings = run.recipe.deciding_settings()
    settings["output"] = {k: v for k, v in settings["output"].items() if k not in _FILES_ONLY}
    stages = {stage.name: run.key(stage) for stage in made_from(run.recipe)}
    return FORMAT_VERSION, settings, sorted(run.contents.items()), stages, run.calibration.to_json()


def _inputs(run: Run, frame: Frame) -> str:
    return digest_of([stage.inputs(run, frame) for stage in made_from(run.recipe)])


def _compute(visit: Visit) -> Arrays:
    calibration = visit.run.calibration
    if clipped := clipped_depth(visit)[1]:
        visit.run.store.put_json(_note_of_clipped(visit.run, visit.frame), {"pixels": clipped})
    labelled, palette = label(visit), calibration.palette()
    preview = encode_preview(labelled.panoptic, labelled.segments, labelled.depth, palette)
    row = encode(labelled, len(calibration.classes), palette, with_image=False)
    row["preview"] = {"bytes": preview, "path": None}
    coded = {name: value["bytes"] for name, value in row.items() if _is_image(value)}
    coded["."] = json.dumps({name: value for name, value in row.items() if not _is_image(value)}).encode()
    return {name: np.frombuffer(data, dtype=np.uint8) for name, data in coded.items()}


def clipped_pixels(run: Run, frame: Frame) -> int:
    """Pixels of an image's depth that were clipped to the recipe's bound when its row was made."""
    try:
        return int((run.store.get_json(_note_of_clipped(run, frame)) or {"pixels": 0})["pixels"])
    except InputError:  # an image that cannot be read has no row
        return 0


def _note_of_clipped(run: Run, frame: Frame) -> str:
    return f"clipped/{digest_of(run.address(ROW, frame))[:32]}.json"


ROW = Stage("labels", "labels", 5, always, _key, _compute, _inputs)


def row_of(visit: Visit) -> dict[str, Any]:
    """The coded row of an image without `image`, from the store or made now. Raises `InputError` for a bad image."""
    arrays = visit.result(ROW)
    row: dict[str, Any] = json.loads(arrays["."].tobytes())
    return row | {name: {"bytes": a.tobytes(), "path": None} for name, a in arrays.items() if name != "."}


@one_thread()
def label(visit: Visit) -> LabelledImage:
    """All labels of one image, which the visit then forgets. Raises `InputError` for an image that cannot be read."""
    recipe, (height, width) = visit.recipe, visit.image.shape[:2]
    working_hw = working_size(recipe, height, width)
    semantic = with_aligned_objects(visit, class_map(visit, height, width), visit.run.calibration.things)
    panoptic = panoptic_of(
        recipe,
        resize_nearest(semantic, *working_hw),
        depth_map(visit, *working_hw),
        visit.run.calibration.things,
        objects(visit, *working_hw),
    )
    output_hw = (height, width) if recipe.output.size == "image" else working_hw
    visit.forget_image()  # nothing below looks at it
    panoptic = panoptic.resized(*output_hw)
    semantic = resize_nearest(semantic, *output_hw)
    if recipe.fusion.unlabelled_things == "void":
        left_over = np.isin(semantic, visit.run.calibration.things) & (panoptic.segment_map == 0)
        semantic = np.where(left_over, semantic.dtype.type(visit.run.calibration.void), semantic)
    return LabelledImage(
        image_id=visit.frame.image_id,
        image=None,
        semantic=semantic,
        depth=depth_map(visit, *output_hw),
        instance=panoptic.instance(),
        panoptic=panoptic.segment_map,
        segments=[
            {
                "id": segment.id,
                "category_id": int(segment.class_id),
                "isthing": bool(segment.isthing),
                "area": int(segment.area),
                "bbox": [int(value) for value in segment.bbox],
                "score": float(segment.score),
            }
            for segment in panoptic.segments
        ],
    )


def with_aligned_objects(visit: Visit, semantic: SemanticMap, things: tuple[int, ...]) -> SemanticMap:
    """The class map [H, W] that instances are taken from: aligned to moving objects where these are the instances, which
    are all of the classes `things` if `fusion.moving_stuff` says so."""
    if visit.recipe.instances.method != "motion":
        return semantic
    aligned = aligned_classes(visit, semantic)
    if visit.recipe.fusion.moving_stuff == "keep":
        return aligned
    height, width = semantic.shape
    return objects_as_things(aligned, semantic, map_of_instances(moving_objects(visit, height, width)), things)


def working_size(recipe: Recipe, height: int, width: int) -> tuple[int, int]:
    """Height and width at which instances are cut: the short side is `instances.short_side`."""
    scale = recipe.instances.short_side / min(height, width)
    return round(height * scale), round(width * scale)


def panoptic_of(
    recipe: Recipe,
    semantic: SemanticMap,
    depth_map: NDArray[np.floating],
    things: tuple[int, ...],
    objects: Instances | None = None,
) -> fusion.Panoptic:
    """Instances and fusion of a class map and an un-normalised depth map of one size (report 2.3, 2.5).

    `objects` are masks of unknown class, for instance methods that need them.
    """
    evidence = Evidence(recipe, semantic, depth_shape(recipe, depth_map), things, objects)
    return fusion.fuse(
        semantic,
        find(evidence),
        things,
        min_stuff_area=recipe.fusion.min_stuff_area,
        min_instance_area=recipe.fusion.min_instance_area,
        order=recipe.fusion.order,
        fallback_min_area=math.inf if recipe.fusion.unlabelled_things == "void" else None,
    )


def row_digest(row: Mapping[str, Any]) -> str:
    """Hex SHA-256 over a row's columns by name; the same whether the row was just made or read back from Parquet.

    `preview` does not enter: it is drawn from the other columns, and a set with it has the same labels as one without.
    """
    digest = hashlib.sha256()
    for name in sorted(set(row) - {"preview"}):
        value = row[name]
        data = value["bytes"] if _is_image(value) else json.dumps(value, sort_keys=True).encode()
        digest.update(f"{name} {len(data)}\n".encode())
        digest.update(data)
    return digest.hexdigest()


def _is_image(value: Any) -> bool:
    return isinstance(value, Mapping) and "bytes" in value
