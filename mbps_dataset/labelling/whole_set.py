"""Taking the numbers that need the whole set: centroids, cluster names, things (`Calibration` is what comes of it)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import replace
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from mbps_dataset.errors import CalibrationError, InputError
from mbps_dataset.labelling.calibration import Calibration, ClassStatistics, class_names
from mbps_dataset.labelling.cluster_naming import name_clusters
from mbps_dataset.labelling.road import STAGE_VERSIONS
from mbps_dataset.labelling.stage import Run, Visit, one_thread
from mbps_dataset.labelling.stage_codes import code_map, code_stages, merged, tokens_of
from mbps_dataset.labelling.stage_row import ROW
from mbps_dataset.labelling.thing_choice import choose_things, count_for_things, recipe_falls_back
from mbps_dataset.models.cause.centroids import Centroids, read_centroids
from mbps_dataset.sources import Frame
from mbps_dataset.stages import overclustering, semantics
from mbps_dataset.stages.cluster_stability import stability
from mbps_dataset.stages.token_whitening import TokenWhitening, fit_token_whitening
from mbps_dataset.store import digest_of


_AFTER_CALIBRATION = ("detections", "features")
"""What only instances are made from: no calibration depends on it."""

Progress = Callable[[Iterable[Frame], str], Iterable[Frame]]


def silent(frames: Iterable[Frame], _: str) -> Iterable[Frame]:
    """No progress bar."""
    return frames


def stored_calibration(run: Run, key: str) -> Calibration | None:
    """The calibration of `run` that has this `calibration_key`, if it has been taken and its document is undamaged."""
    document = run.store.get_json(_document_name(key))
    return None if document is None else Calibration.from_json(document)


def take_calibration(
    run: Run, frames: Sequence[Frame], key: str, progress: Progress = silent, *, without: Container[str] = ()
) -> Calibration:
    """Fit centroids, name clusters, tell things from stuff over `frames`, and keep the result in the store.

    `key` is the `calibration_key` of run and frames. Frames whose id is in `without` always fail and are not counted.
    Raises `CalibrationError` if the recipe needs what no frame has: readable images, ground truth for names.
    """
    frames = [frame for frame in frames if frame.image_id not in without]
    unnamed = Calibration(
        classes=tuple(ClassStatistics(f"{k}", False, None, None) for k in range(run.recipe.clusters.count)),
        cluster_to_class=None,
        images=0,
        truth_used=(),
    )
    if (clusters := fit_centroids(run, frames, progress)) is not None:
        unnamed = replace(
            unnamed,
            centroids=clusters.centroids,
            token_mean=clusters.token_mean,
            token_projection=clusters.token_projection,
        )
    names, named_from = name_clusters(run.calibrated(unnamed), progress(frames, "naming clusters"))
    classes = tuple(ClassStatistics(name, False, None, None) for name in class_names(run.recipe))
    named = replace(unnamed, classes=classes, cluster_to_class=names, images=len(frames))
    counts = count_for_things(run.calibrated(named), progress(frames, "finding things"))
    split = choose_things(run.recipe, class_names(run.recipe), counts)
    truth_used = (*named_from, *split.truth_used)
    calibration = replace(named, classes=split.classes, truth_used=truth_used, notes=split.notes)
    run.store.put_json(_document_name(key), calibration.to_json())
    return calibration


def fit_centroids(run: Run, frames: Sequence[Frame], progress: Progress = silent) -> Centroids | None:
    """Centroids [k, C] of the recipe, with the whitening of its tokens if codes are tokens; None for a probe.

    Fitted label-free on all tokens of `frames`, or read from the recipe's file.
    """
    settings = run.recipe.clusters
    if settings.method == "probe":
        return None
    if settings.method == "centroids":
        read = read_centroids(str(settings.centroids))
        _require_same_network(run, read)
        return read
    whitening = fit_whitening(run, frames, progress) if run.recipe.semantics.codes == "tokens" else None
    tokens = [_tokens(visit, whitening) for visit in run.visits(progress(frames, "reading codes"))]
    if not tokens:
        raise CalibrationError(_NOTHING_READ)
    centroids = overclustering.fit_kmeans(
        np.concatenate(tokens), settings.count, seed=settings.seed, restarts=settings.restarts
    )
    if whitening is None:
        return Centroids(centroids)
    projection = None if whitening.projection is None else whitening.projection.numpy()
    return Centroids(centroids, token_mean=whitening.mean.numpy(), token_projection=projection)


def _require_same_network(run: Run, read: Centroids) -> None:
    """Raises `CalibrationError` for clusters of another network's codes, which may have as many channels."""
    network = run.recipe.semantic_network
    if read.weights is not None and read.weights.get(network) != run.contents[network]:
        raise CalibrationError(
            f"clusters.centroids: the clusters of {run.recipe.clusters.centroids} are of codes of another network than this "
            "recipe's; take the weights that they were made with."
        )


def cluster_stability(
    run: Run, frames: Sequence[Frame], counts: Sequence[int], progress: Progress = silent
) -> dict[int, float]:
    """How stable each number of clusters is under another choice of `frames` (see `mbps_dataset.stages.cluster_stability`).

    Raises `CalibrationError` for fewer than two readable images, or more clusters than half of them have tokens.
    """
    whitening = fit_whitening(run, frames, progress) if run.recipe.semantics.codes == "tokens" else None
    tokens = [_tokens(visit, whitening) for visit in run.visits(progress(frames, "reading codes"))]
    try:
        return stability(tokens, counts, seed=run.recipe.clusters.seed)
    except ValueError as error:
        raise CalibrationError(f"How stable clusters are cannot be said: {error}") from None


_NOTHING_READ = "No image could be read, so clusters cannot be fitted; see the failures above."


@one_thread()
def fit_whitening(run: Run, frames: Sequence[Frame], progress: Progress = silent) -> TokenWhitening:
    """How the recipe makes codes of the tokens of `frames`. Raises `CalibrationError` if no image can be read."""
    settings, visits = run.recipe.semantics, run.visits(progress(frames, "whitening tokens"))
    batches = (tokens for visit in visits for tokens in tokens_of(visit))
    first = next(batches, None)
    if first is None:
        raise CalibrationError(_NOTHING_READ)
    return fit_token_whitening(chain([first], batches), settings.directions, shrinkage=settings.shrinkage)


@one_thread()
def _tokens(visit: Visit, whitening: TokenWhitening | None) -> NDArray[np.floating]:
    codes = merged(visit, code_stages(visit.recipe)[0], lambda codes: code_map(codes, whitening))
    grid_hw = (codes.shape[1] // semantics.PATCH, codes.shape[2] // semantics.PATCH)
    return overclustering.collect_tokens(codes, grid_hw=grid_hw, limit=None)


def calibration_key(run: Run, frames: Sequence[Frame]) -> str:
    """Digest of everything a calibration depends on: stages, naming and thing settings, weights, and the images.

    Reads the ground truth of all `frames` for a recipe that names clusters, so it is taken once.
    """
    settings = run.recipe.deciding_settings()
    groups = ("semantics", "clusters", "crf", "naming", "saliency", "things", "calibration")
    chosen: dict[str, object] = {group: settings[group] for group in groups}
    chosen["short_side"] = settings["instances"]["short_side"]
    if run.recipe.things.method == "depth-split" or recipe_falls_back(run.recipe):
        chosen |= {group: settings[group] for group in ("depth", "instances")}
    if run.recipe.things.method == "motion" or run.recipe.depth.method == "stereo":
        chosen |= {group: settings[group] for group in ("flow", "motion")}
    if run.recipe.semantics.windows == "depth":
        chosen["depth"] = settings["depth"]
    if run.recipe.things.method == "motion":
        chosen["align_objects"] = settings["fusion"]["align_objects"]
    images = [(frame.image_id, content_digest(run, frame)) for frame in frames]
    truth = [] if run.recipe.naming.method == "none" else [_truth_digest(frame) for frame in frames]
    contents = sorted(item for item in run.contents.items() if not item[0].startswith(_AFTER_CALIBRATION))
    return digest_of("calibration", run.device_type, STAGE_VERSIONS, chosen, contents, images, truth)


def _document_name(key: str) -> str:
    return f"calibration/{key[:32]}.json"


def content_digest(run: Run, frame: Frame) -> str:
    """Digest of an image, or "unreadable"; an image that becomes readable changes the input."""
    try:
        return ROW.inputs(run, frame)
    except InputError:
        return "unreadable"


def _truth_digest(frame: Frame) -> str:
    try:
        truth = frame.truth()
    except InputError:
        return "unreadable"
    return "none" if truth is None else hashlib.sha256(truth.label_ids.tobytes()).hexdigest()
