"""Taking the calibration of a recipe over a source (see `mbps_dataset.labelling.calibration` for what it holds)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from mbps_dataset import taxonomy
from mbps_dataset.errors import CalibrationError, InputError
from mbps_dataset.labelling import calibration as numbers
from mbps_dataset.labelling.calibration import Calibration
from mbps_dataset.labelling.pipeline import STAGE_VERSIONS, Pipeline, one_thread
from mbps_dataset.models.cause.centroids import read_centroids
from mbps_dataset.recipe import Recipe
from mbps_dataset.sources import Frame
from mbps_dataset.stages import naming, overclustering, saliency, semantics
from mbps_dataset.stages.instances.depth_edges import gradient_magnitude
from mbps_dataset.stages.resizing import resize_nearest
from mbps_dataset.store import digest_of


_LOOKED_THROUGH = ("cause", "attention", "spidepth", "depth_estimation")
"""Networks that a calibration may depend on; what makes instances comes after it."""

Progress = Callable[[Iterable[Frame], str], Iterable[Frame]]


def _silent(frames: Iterable[Frame], _: str) -> Iterable[Frame]:
    return frames


def needs_calibration_first(recipe: Recipe) -> bool:
    """Whether pseudo-classes can only be computed once centroids are known."""
    return recipe.clusters.method != "probe"


def fit_centroids(pipeline: Pipeline, frames: Sequence[Frame], progress: Progress = _silent) -> np.ndarray | None:
    """Centroids [k, C] of the recipe: fitted label-free on all tokens of `frames`, or read from its file, or None."""
    settings = pipeline.recipe.clusters
    if settings.method == "probe":
        return None
    if settings.method == "centroids":
        return read_centroids(str(settings.centroids)).centroids
    tokens = [_tokens(pipeline, frame) for frame in usable(progress(frames, "reading codes"))]
    if not tokens:
        raise CalibrationError("No image could be read, so clusters cannot be fitted; see the failures above.")
    return overclustering.fit_kmeans(
        np.concatenate(tokens), settings.count, seed=settings.seed, restarts=settings.restarts
    )


def _tokens(pipeline: Pipeline, frame: Frame) -> np.ndarray:
    with one_thread():
        codes = pipeline.merged(frame, semantics.merge_codes)
        grid_hw = (codes.shape[1] // semantics.PATCH, codes.shape[2] // semantics.PATCH)
        return overclustering.collect_tokens(codes, grid_hw=grid_hw, limit=None)


def calibrate(
    pipeline: Pipeline, frames: Sequence[Frame], centroids: np.ndarray | None, progress: Progress = _silent
) -> Calibration:
    """Name the clusters and tell things from stuff, over `frames`.

    Raises `CalibrationError` if the recipe names clusters and no frame has ground truth.
    """
    recipe = pipeline.recipe
    unnamed = _unnamed(recipe, centroids)
    cluster_to_class, truth_used = _name_clusters(pipeline, frames, unnamed, progress)
    named = cluster_to_class is not None
    names = taxonomy.NAMES_19 if named else tuple(f"pseudo-class {k}" for k in range(recipe.clusters.count))
    naming_done = numbers.Calibration(
        classes=tuple(numbers.ClassStatistics(name, False, None, None) for name in names),
        cluster_to_class=cluster_to_class,
        images=len(frames),
        truth_used=(),
        centroids=centroids,
    )
    counts, splits = _count_classes(pipeline, frames, naming_done, progress)
    try:
        classes, split_truth = numbers.choose_things(recipe, names, counts, splits, named=named)
    except ValueError as error:
        raise CalibrationError(str(error)) from None
    return Calibration(classes, cluster_to_class, len(frames), (*truth_used, *split_truth), centroids)


def calibration_key(pipeline: Pipeline, frames: Sequence[Frame]) -> str:
    """Digest of everything a calibration depends on: stages, naming and thing settings, and the images."""
    settings = pipeline.recipe.settings()
    chosen = {k: settings[k] for k in ("semantics", "clusters", "crf", "naming", "saliency", "things", "calibration")}
    chosen["short_side"] = settings["instances"]["short_side"]
    if pipeline.recipe.things.method == "depth-split":
        chosen |= {k: settings[k] for k in ("depth", "instances")}
    images = [(frame.image_id, content_digest(pipeline, frame)) for frame in frames]
    truth = [] if pipeline.recipe.naming.method == "none" else [_truth_digest(frame) for frame in frames]
    weights = sorted(item for item in pipeline.weights.items() if item[0] in _LOOKED_THROUGH)
    return digest_of("calibration", STAGE_VERSIONS, chosen, weights, images, truth)


def usable(frames: Iterable[Frame]) -> Iterable[Frame]:
    """Frames whose image can be read."""
    for frame in frames:
        try:
            frame.image()
        except InputError:
            continue
        yield frame


def _unnamed(recipe: Recipe, centroids: np.ndarray | None) -> Calibration:
    classes = tuple(numbers.ClassStatistics(f"{k}", False, None, None) for k in range(recipe.clusters.count))
    return Calibration(classes, None, 0, (), centroids)


def _name_clusters(
    pipeline: Pipeline, frames: Sequence[Frame], unnamed: Calibration, progress: Progress
) -> tuple[tuple[int, ...] | None, list[str]]:
    settings = pipeline.recipe.naming
    if settings.method == "none":
        return None, []
    if settings.method == "file":
        table = _read_npz(settings.file, "cluster_to_class")
        return tuple(int(k) for k in table), [f"cluster names: from {Path(settings.file or '').name}"]
    hungarian = settings.method == "hungarian"
    classes, table = (27, taxonomy.LABEL_ID_TO_27) if hungarian else (19, taxonomy.LABEL_ID_TO_TRAIN_ID)
    counts = np.zeros((pipeline.recipe.clusters.count, classes), dtype=np.int64)
    with_truth = 0
    for frame in usable(progress(frames, "naming clusters")):
        truth = frame.truth()
        if truth is None:
            continue
        with_truth += 1
        height, width = pipeline.run("pseudo_classes", frame, unnamed)["labels"].shape
        labels = pipeline.class_map(frame, unnamed, height, width)
        target = table[resize_nearest(truth.label_ids, height, width)]
        valid = target != taxonomy.VOID
        counts += np.bincount(labels[valid].astype(np.int64) * classes + target[valid], minlength=counts.size).reshape(
            counts.shape
        )
    if not with_truth:
        raise CalibrationError(
            f"naming.method is {settings.method!r}, but no image has ground truth; add gtFine, give names with "
            "--set naming.method=file --set naming.file=…, or leave clusters unnamed with --set naming.method=none."
        )
    named = naming.name_by_hungarian(counts) if hungarian else naming.name_by_majority(counts)
    return tuple(int(k) for k in named.cluster_to_class), [
        f"cluster names: {settings.method} against {with_truth} label maps"
    ]


def _count_classes(
    pipeline: Pipeline, frames: Sequence[Frame], calibration: Calibration, progress: Progress
) -> tuple[saliency.ClassCounts | None, saliency.SplitCounts | None]:
    """What the thing rule of the recipe looks at, over the set; nothing is counted for rules that look at nothing."""
    method, classes = pipeline.recipe.things.method, len(calibration.classes)
    if method not in ("attention", "depth-split"):
        return None, None
    counts, splits = saliency.ClassCounts.zeros(classes), saliency.SplitCounts.zeros(classes)
    for frame in usable(progress(frames, "finding things")):
        height, width = pipeline.working_size(*frame.image().shape[:2])
        semantic = pipeline.class_map(frame, calibration, height, width)
        if method == "attention":
            counts += saliency.count_overlap(semantic, pipeline.salient(frame, height, width), classes)
            continue
        counts += saliency.count_overlap(semantic, np.zeros(semantic.shape, bool), classes)
        shape = pipeline.depth_shape(pipeline.depth_map(frame, height, width))
        settings = pipeline.recipe.instances
        edges = gradient_magnitude(shape, settings.sigma) > settings.grad_threshold
        splits += saliency.count_splits(semantic, edges, classes, min_area=settings.min_area)
    return counts, splits if method == "depth-split" else None


def _read_npz(path: str | None, name: str) -> np.ndarray:
    try:
        if path is not None and path.endswith(".json"):
            return np.array(json.loads(Path(path).read_text(encoding="utf-8"))[name])
        with np.load(str(path), allow_pickle=False) as arrays:
            return arrays[name]
    except (OSError, KeyError, ValueError) as error:
        raise CalibrationError(f"{path}: holds no array `{name}` ({error}).") from None


def content_digest(pipeline: Pipeline, frame: Frame) -> str:
    """Digest of an image, or "unreadable"; an image that becomes readable changes the input."""
    try:
        return pipeline.input_digest(frame)
    except InputError:
        return "unreadable"


def _truth_digest(frame: Frame) -> str:
    try:
        truth = frame.truth()
    except InputError:
        return "unreadable"
    return "none" if truth is None else hashlib.sha256(truth.label_ids.tobytes()).hexdigest()
