"""Stage: pseudo-classes of the codes, sharpened by a DenseCRF (report 2.1), and the class map of an image."""

from __future__ import annotations

import numpy as np
import torch

from mbps_dataset.arrays import SemanticMap
from mbps_dataset.errors import CalibrationError
from mbps_dataset.labelling.stage import Arrays, Run, Stage, Visit, as_numpy
from mbps_dataset.labelling.stage_codes import CODES, merged, window_image
from mbps_dataset.recipe import Recipe
from mbps_dataset.resizing import resize_nearest
from mbps_dataset.stages import crf, overclustering, semantics


def _needs_centroids(recipe: Recipe) -> bool:
    return recipe.clusters.method != "probe"


def _key(run: Run) -> tuple[object, ...]:
    settings = run.recipe.deciding_settings()
    centroids = run.calibration.centroids if _needs_centroids(run.recipe) else None
    made_from = None if centroids is None else centroids.tolist()
    return run.key(CODES), settings["clusters"], settings["crf"], made_from


def _compute(visit: Visit) -> Arrays:
    scores = torch.as_tensor(_log_probs(visit))
    probabilities = as_numpy(semantics.crf_probabilities(scores, temperature=visit.recipe.clusters.temperature))
    settings = visit.recipe.crf
    if settings.enabled:
        probabilities = crf.dense_crf(
            window_image(visit.image, visit.recipe.semantics),
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


def _log_probs(visit: Visit) -> torch.Tensor:
    settings = visit.recipe.clusters
    if not _needs_centroids(visit.recipe):
        probe = visit.run.network("cause").probe
        return merged(visit, lambda codes: semantics.merge_log_probs(codes, probe, alpha=settings.alpha))
    centroids = visit.run.calibration.centroids
    if centroids is None:
        raise CalibrationError(f"clusters.method is {settings.method!r}, but the calibration holds no centroids.")
    return overclustering.cluster_logits(merged(visit, semantics.merge_codes), centroids)


PSEUDO_CLASSES = Stage("pseudo_classes", "pseudo-classes", 2, _needs_centroids, _key, _compute)


def class_map(visit: Visit, height: int, width: int) -> SemanticMap:
    """Class ids [height, width], named if the calibration names clusters; void where a cluster has no class."""
    labels = visit.result(PSEUDO_CLASSES)["labels"]
    return resize_nearest(visit.run.calibration.lookup(visit.recipe.clusters.count)[labels], height, width)
