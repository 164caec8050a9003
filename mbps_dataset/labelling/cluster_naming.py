"""Names of pseudo-classes over the whole set, by the recipe's method. Whatever is taken from ground truth is recorded."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mbps_dataset import taxonomy
from mbps_dataset.errors import CalibrationError
from mbps_dataset.labelling.stage import Run
from mbps_dataset.labelling.stage_pseudo_classes import PSEUDO_CLASSES, class_map
from mbps_dataset.models.cause.centroids import names_made_for, read_cluster_names
from mbps_dataset.recipe import Recipe
from mbps_dataset.resizing import resize_nearest
from mbps_dataset.sources import Frame
from mbps_dataset.stages import naming


_FROM_TRUTH = ("hungarian", "majority")

Names = tuple[int, ...]
"""Class of each pseudo-class: a train id 0-18, or 255 for none."""


_WITHOUT = {
    "folder": "give label maps with --truth-dir DIR",
    "cityscapes": "put gtFine beside leftImg8bit",
    "scenes": "take rendered scenes",
}
"""How images of each source get ground truth."""


def require_truth(recipe: Recipe, source: str, frames: Iterable[Frame]) -> None:
    """Raises `CalibrationError` if clusters are to be named from ground truth and no frame has any.

    Nothing is decoded, so that this can be told before anything runs.
    """
    if recipe.naming.method in _FROM_TRUTH and not any(frame.has_truth for frame in frames):
        raise CalibrationError(_no_truth(recipe, source))


def _no_truth(recipe: Recipe, source: str) -> str:
    things = " --set things.method=depth-split" if recipe.things.method == "cityscapes" else ""
    return (
        f"The recipe {recipe.name} names clusters from ground truth (naming.method={recipe.naming.method}), but no image of "
        f"the source {source} has any: leave them unnamed with --set naming.method=none{things}, name them from a file with "
        f"--set naming.method=file --set naming.file=NAMES.json (cluster_to_class: train ids 0-18 or 255), or {_WITHOUT.get(source, 'take images that have it')}."
    )


def name_clusters(run: Run, frames: Iterable[Frame]) -> tuple[Names | None, tuple[str, ...]]:
    """Names of the clusters of a run whose calibration has none yet, and what ground truth they were taken from.

    None if the recipe leaves clusters unnamed. Raises `CalibrationError` if the names cannot be read, or if they are to
    be found from ground truth and no frame has any.
    """
    settings = run.recipe.naming
    if settings.method == "none":
        return None, ()
    if settings.method == "file":
        path = Path(str(settings.file)).expanduser()
        names, made_for = tuple(int(k) for k in read_cluster_names(path)), names_made_for(path)
        if made_for not in (None, run.calibration.clusters_digest):
            raise CalibrationError(
                f"naming.file: {path} names clusters of another set (other images or settings); name these in the page that "
                "`mbps preview` writes, or take those clusters with --set clusters.method=centroids --set "
                "clusters.centroids=THAT_SET."
            )
        return names, (f"cluster names: from {Path(str(settings.file)).name}",)
    hungarian = settings.method == "hungarian"
    classes, table = (27, taxonomy.LABEL_ID_TO_27) if hungarian else (19, taxonomy.LABEL_ID_TO_TRAIN_ID)
    counts, with_truth = _count_pairs(run, frames, classes, table)
    if not with_truth:
        raise CalibrationError(_no_truth(run.recipe, "" if run.source is None else run.source.name))
    named = naming.name_by_hungarian(counts) if hungarian else naming.name_by_majority(counts)
    return named, (f"cluster names: {settings.method} against {with_truth} label maps",)


def _count_pairs(
    run: Run, frames: Iterable[Frame], classes: int, table: NDArray[np.integer]
) -> tuple[NDArray[np.int64], int]:
    """Common pixels of clusters and true classes, int64 [clusters, classes], and how many frames have truth."""
    counts, with_truth = np.zeros((run.recipe.clusters.count, classes), dtype=np.int64), 0
    for visit in run.visits(frames):
        truth = visit.frame.truth()
        if truth is None:
            continue
        with_truth += 1
        height, width = visit.result(PSEUDO_CLASSES)["labels"].shape
        labels = class_map(visit, height, width)
        target = table[resize_nearest(truth.label_ids, height, width)]
        valid = target != taxonomy.VOID
        pairs = labels[valid].astype(np.int64) * classes + target[valid]
        counts += np.bincount(pairs, minlength=counts.size).reshape(counts.shape)
    return counts, with_truth
