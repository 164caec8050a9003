"""Stage: pseudo-classes of the codes, of one resolution or of two (CUPS 3.2), sharpened by a DenseCRF (report 2.1), and the
class map of an image.

Depth that weighs two resolutions is that of the recipe's depth stage as it is, in metres and without bounds; where there is
none it says 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from mbps_dataset.arrays import RGBImage, SemanticMap
from mbps_dataset.errors import CalibrationError
from mbps_dataset.labelling.calibration import Calibration
from mbps_dataset.labelling.stage import Arrays, Run, Stage, Visit, as_numpy
from mbps_dataset.labelling.stage_codes import code_map, code_stages, log_probs, merged, window_image
from mbps_dataset.labelling.stage_depth import DEPTH
from mbps_dataset.recipe import Recipe
from mbps_dataset.resizing import resize_nearest
from mbps_dataset.sources import Frame
from mbps_dataset.stages import crf, overclustering, semantics
from mbps_dataset.stages.depth_guided_semantics import fuse_resolutions, image_for_crf
from mbps_dataset.stages.network_pixels import network_pixels
from mbps_dataset.stages.token_whitening import TokenWhitening


def _needs_centroids(recipe: Recipe) -> bool:
    return recipe.clusters.method != "probe"


def _weighs_by_depth(recipe: Recipe) -> bool:
    return recipe.semantics.windows == "depth"


def _key(run: Run) -> tuple[object, ...]:
    settings = run.recipe.deciding_settings()
    made_from = None
    if _needs_centroids(run.recipe):
        known = run.calibration
        parts = (known.centroids, known.token_mean, known.token_projection)
        made_from = [part.tolist() for part in parts if part is not None]
    codes = [run.key(stage) for stage in code_stages(run.recipe)]
    windows = run.recipe.semantics.windows
    depth = (run.key(DEPTH), run.recipe.semantics.invalid_alpha) if _weighs_by_depth(run.recipe) else None
    return codes, windows, depth, settings["clusters"], settings["crf"], made_from


def _inputs(run: Run, frame: Frame) -> str:
    return DEPTH.inputs(run, frame) if _weighs_by_depth(run.recipe) else frame.digest()


def _compute(visit: Visit) -> Arrays:
    scores = torch.as_tensor(_log_probs(visit))
    probabilities = as_numpy(semantics.crf_probabilities(scores, temperature=visit.recipe.clusters.temperature))
    settings = visit.recipe.crf
    if settings.enabled:
        probabilities = crf.dense_crf(
            _seen_by_crf(visit),
            np.ascontiguousarray(probabilities),
            gaussian_sxy=settings.gaussian_sxy,
            gaussian_compat=settings.gaussian_compat,
            bilateral_sxy=settings.bilateral_sxy,
            bilateral_srgb=settings.bilateral_srgb,
            bilateral_compat=settings.bilateral_compat,
            iterations=settings.iterations,
            channel_order=settings.channel_order,
            backend=settings.backend,
        )
    return {"labels": semantics.label_map(probabilities)}


def _seen_by_crf(visit: Visit) -> RGBImage:
    image = window_image(visit.image, visit.recipe.semantics)
    return image_for_crf(network_pixels(image), truncate=True) if visit.recipe.crf.truncate else image


def _log_probs(visit: Visit) -> torch.Tensor:
    """Scores of the resolutions that the recipe looks at, joined as it says: [K, h, w]."""
    settings, stages = visit.recipe.semantics, code_stages(visit.recipe)
    scores = [torch.as_tensor(_scores(visit, stage)) for stage in stages]
    if len(scores) == 1:
        return scores[0]
    high, low = scores
    depth = None
    if _weighs_by_depth(visit.recipe):
        depth = torch.from_numpy(resize_nearest(visit.result(DEPTH)["depth"], *high.shape[1:]))
    return fuse_resolutions(low, high, depth, fusion=settings.windows, invalid_alpha=settings.invalid_alpha)


def _scores(visit: Visit, stage: Stage) -> Any:
    """Scores of one resolution: [K, h, w]."""
    settings = visit.recipe.clusters
    if not _needs_centroids(visit.recipe):
        probe = visit.run.network(visit.recipe.semantics.method).probe
        return merged(visit, stage, lambda codes: log_probs(codes, probe, settings.alpha))
    calibration = visit.run.calibration
    centroids = calibration.centroids
    if centroids is None:
        raise CalibrationError(f"clusters.method is {settings.method!r}, but the calibration holds no centroids.")
    whitening = token_whitening(calibration)
    return overclustering.cluster_logits(merged(visit, stage, lambda codes: code_map(codes, whitening)), centroids)


def token_whitening(calibration: Calibration) -> TokenWhitening | None:
    """How tokens become codes; None where a head makes them."""
    if calibration.token_mean is None:
        return None
    projection = calibration.token_projection
    return TokenWhitening(
        torch.from_numpy(calibration.token_mean), None if projection is None else torch.from_numpy(projection)
    )


PSEUDO_CLASSES = Stage("pseudo_classes", "pseudo-classes", 3, _needs_centroids, _key, _compute, _inputs)


def class_map(visit: Visit, height: int, width: int) -> SemanticMap:
    """Class ids [height, width], named if the calibration names clusters; void where a cluster has no class."""
    labels = visit.result(PSEUDO_CLASSES)["labels"]
    return resize_nearest(visit.run.calibration.lookup(visit.recipe.clusters.count)[labels], height, width)
