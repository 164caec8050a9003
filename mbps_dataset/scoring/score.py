"""Scoring one set of labels against another: a built label set, its source, or any form that `segmentation_sets` reads.

Unnamed pseudo-classes are matched to classes by the Hungarian method unless told otherwise; named classes are compared
as they are. All scores are taken in one pass over the images; only the report's protocol needs a second one, since it
paints named classes and names are known when all images have been seen.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from mbps_dataset.errors import InputError
from mbps_dataset.formats.image_segmentation import Labels
from mbps_dataset.formats.label_source import pair_images, pairs
from mbps_dataset.metrics.protocols import Protocol
from mbps_dataset.scoring.masks import DetectedMasks
from mbps_dataset.scoring.measures import Measures, Score, fitted, matching_of
from mbps_dataset.scoring.protocols import chosen_protocol, cut_labels, matching_by
from mbps_dataset.scoring.sides import Sides, open_sides
from mbps_dataset.sources import Source
from mbps_dataset.store.progress import ProgressBar


__all__ = ["Score", "score"]


def score(
    predictions: Path,
    truth: Path | None = None,
    *,
    splits: Sequence[str] = (),
    convention: str = "coco",
    matching: str | None = None,
    classes: int = 19,
    missing: str = "error",
    pseudo_things: Collection[int] | None = None,
    pseudo_stuff: Collection[int] | None = None,
    bootstrap: int = 0,
    masks: bool = False,
    distances: Sequence[float] = (),
    protocol: str | None = None,
    painted: str | None = None,
    detections: Path | None = None,
    source: Source | None = None,
    progress: bool = False,
) -> Score:
    """Panoptic quality of `predictions` over 27, 19, 16, 7 or 2 classes of Cityscapes.

    `predictions` is a folder written by `mbps build` or anything `segmentation_sets.open_labels` reads (an export of
    ours is scored as the label set it is); `truth` likewise, or None for the ground truth of the label set's own source,
    which may be handed in as `source`, where it has moved or predictions know none. `splits` count for either side that has splits.
    `matching` None means "hungarian" for unnamed pseudo-classes and "none" otherwise; `pseudo_things` and `pseudo_stuff`
    say which clusters are things where neither label set nor file does. `missing` is what is done about an image that
    only one side has, or that cannot be read, see `mbps_dataset.formats.MISSING`. `bootstrap` resamples give
    confidence intervals.

    `protocol`, one of `metrics.protocols.PROTOCOLS`, sets `classes`, `convention`, sizes and matching instead; with
    it, `matching` only says that predictions of a file are clusters.

    On request also: `masks`, class-agnostic average precision of the instances; `distances`, ascending limits of ranges
    that are scored apart, by the depth of the truth in metres or else the label set's own; `painted`, one of
    `metrics.MODES`, the report's way of painting masks. `detections` are a detector's files (`read_detections`), whose
    masks take the place of the predicted instances in `masks` and `painted`.

    Raises `InputError` if nothing can be scored, an image is on one side only or cannot be read (unless `missing` allows
    it), ids or names are unknown, or what was asked for is not in the labels.
    """
    if bootstrap < 0:
        raise InputError(f"--bootstrap {bootstrap}: the number of resamples cannot be negative.")
    named = None if protocol is None else chosen_protocol(protocol, matching)
    if named is not None:
        classes, convention = named.classes, named.convention
    clusters = matching not in (None, "none")
    sides = open_sides(
        predictions, truth, splits, classes, clusters=clusters, source=source, with_depth=bool(distances)
    )
    by = matching_by(named, sides.predicted, clusters=clusters) if named else matching_of(sides.predicted, matching)
    measures = Measures(
        sides, convention=convention, matching=by, classes=classes, distances=distances, masks=masks,
        pseudo_things=pseudo_things, pseudo_stuff=pseudo_stuff,
    )  # fmt: skip
    if detections is not None:
        split_in_id = truth is None and (predictions / "labelset.json").is_file()
        measures.detected = _detected(detections, sides, missing, split_in_id)
    return replace(_taken(measures, sides, missing, bootstrap, named, painted, progress), protocol=protocol)


def _detected(detections: Path, sides: Sides, missing: str, split_in_id: bool) -> DetectedMasks:
    """A detector's masks of all images that are scored."""
    pairing = pair_images(sides.predicted, sides.true)
    missed = pairing.without_prediction if missing == "void" else ()
    return DetectedMasks.read(
        detections, [*(image_id for image_id, _ in pairing.both), *missed], split_in_id=split_in_id
    )


def _taken(
    measures: Measures,
    sides: Sides,
    missing: str,
    bootstrap: int,
    named: Protocol | None,
    painted: str | None,
    progress: bool,
) -> Score:
    """The score of all images."""
    predicted, true = sides.predicted, sides.true
    if not len(true):
        raise InputError(
            f"{predicted.name}: no image has ground truth to score against; labelling does not need it, scoring does "
            "(gtFine of Cityscapes, --truth-dir for a folder, or --truth)."
        )
    skipped: list[str] = list(sides.left_out)
    missed: list[str] = []
    for image_id, prediction, truth in _pairs(sides, missing, skipped, missed, progress):
        if named is not None:
            prediction = cut_labels(named, fitted(prediction, truth, image_id))
            truth = cut_labels(named, truth)
        measures.add(image_id, prediction, truth)
    if not len(measures.quality):
        raise InputError(f"{predicted.name}: not one image could be scored: {'; '.join(skipped[:3])}.")
    scored = measures.compute(bootstrap)
    if painted is not None:
        result = measures.report_protocol(painted, scored.result, _pairs(sides, missing, [], [], progress))
        scored = replace(scored, report_protocol=result)
    own = predicted.label_set
    return replace(
        scored,
        splits=sides.splits,
        predicted=len(predicted),
        true=len(true),
        skipped=skipped,
        missed=missed,
        identity=None if own is None else own.origin.get("identity"),
    )


def _pairs(
    sides: Sides, missing: str, skipped: list[str], missed: list[str], progress: bool
) -> Iterator[tuple[str, Labels, Labels]]:
    """Image id, prediction and truth, with a bar on the terminal."""
    images = len(pair_images(sides.predicted, sides.true).both)
    with ProgressBar("scoring", images, show=progress and images > 0) as bar:
        for image in pairs(sides.predicted, sides.true, missing=missing, skipped=skipped, missed=missed):
            yield image
            bar.update()
