"""Stage: objects cut from patch features, classes unknown, and the objects of an image whoever found them."""

from __future__ import annotations

from mbps_dataset.errors import InputError
from mbps_dataset.labelling.instance_methods import CUTS, cut, needs_objects
from mbps_dataset.labelling.stage import Arrays, Run, Stage, Visit, never
from mbps_dataset.labelling.stage_motion import moving_objects
from mbps_dataset.models.networks import recipe_networks
from mbps_dataset.recipe import Recipe
from mbps_dataset.sources.detections import Detections, open_detections
from mbps_dataset.stages.instances import Instances


def _features(run: Run) -> list[str]:
    return [name for name in recipe_networks(run.recipe) if name.startswith("features")]


def _key(run: Run) -> tuple[object, ...]:
    digests = [run.contents[name] for name in _features(run)]
    return run.device_type, run.recipe.instances.method, run.recipe.deciding_settings()["cuts"], digests


def _compute(visit: Visit) -> Arrays:
    networks = [visit.run.network(name) for name in _features(visit.run)]
    recipe = visit.recipe
    return cut(recipe.instances.method, recipe.cuts, visit.image, networks, visit.run.device).to_arrays()


def _runs(recipe: Recipe) -> bool:
    return recipe.instances.method in CUTS


CUT_OBJECTS = Stage("cuts", "objects by cuts", 2, never, _key, _compute, runs=_runs)


def detections(run: Run) -> Detections:
    """Masks that someone else's detector made, by image id. Raises `InputError`, also without a source."""

    def open_them() -> Detections:
        if run.source is None:
            raise InputError("Detections are matched to the images of a source, but this run was given none.")
        return open_detections(run.recipe.detections, frozenset(frame.image_id for frame in run.source_frames()))

    return run.once("detections", open_them)


def objects(visit: Visit, height: int, width: int) -> Instances | None:
    """Objects that the instance method gives classes to, masks [height, width]; None if it needs none."""
    method = visit.recipe.instances.method
    if not needs_objects(method):
        return None
    if method == "motion":
        return moving_objects(visit, height, width)
    if method == "detections":
        found = detections(visit.run).instances(
            visit.frame.image_id, visit.image.shape[:2], min_score=visit.recipe.detections.min_score
        )
    else:
        found = Instances.from_arrays(visit.result(CUT_OBJECTS))
    return found if found.shape == (height, width) else found.resized(height, width)
