"""Scoring one set of labels against another: a built label set, its source, or any form that `segmentation_sets` reads.

Unnamed pseudo-classes are matched to classes by the Hungarian method unless told otherwise; named classes are compared
as they are. Predictions of another size are brought to that of the truth by nearest neighbour (Pillow's rule). All
scores are taken in one pass over the images; only the report's protocol needs a second one, since it paints named
classes and names are known when all images have been seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from mbps_dataset import taxonomy
from mbps_dataset.errors import InputError
from mbps_dataset.formats.description import Description
from mbps_dataset.formats.image_segmentation import Labels
from mbps_dataset.formats.own_exports import find_export
from mbps_dataset.formats.segmentation_sets import LabelSource, check_pairs, class_names, open_pair
from mbps_dataset.labelset.folder import LabelSetFolder
from mbps_dataset.metrics import (
    DetectionResult,
    MaskAveragePrecision,
    PanopticQuality,
    PanopticQualityByDistance,
    PanopticResult,
    ReportProtocol,
    format_averages,
    format_distances,
    format_masks,
    format_table,
)
from mbps_dataset.resizing import resize_nearest
from mbps_dataset.scoring.label_set_labels import predicted_labels, true_labels
from mbps_dataset.scoring.masks import DetectedMasks, add_masks, add_to_protocol


_SPLITS = {
    27: (taxonomy.THINGS_27, taxonomy.STUFF_27),
    19: (taxonomy.THINGS_19, taxonomy.STUFF_19),
    7: (taxonomy.THINGS_7, taxonomy.STUFF_7),
}
_DISTANCE_UNITS = {True: "metres of the ground truth", False: "the unit of the label set's own depth"}


@dataclass(frozen=True)
class Score:
    """A metric result with what it was taken on; `identity` is that of the scored label set, if it is one.

    `masks`, `by_distance` (near, far → result, in `distance_unit`) and `report_protocol` where they were asked for.
    """

    result: PanopticResult
    images: int
    classes: int
    splits: tuple[str, ...] = ()
    skipped: list[str] = field(default_factory=list)
    identity: str | None = None
    masks: DetectionResult | None = None
    by_distance: dict[tuple[float, float], PanopticResult] = field(default_factory=dict)
    distance_unit: str | None = None
    report_protocol: PanopticResult | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain Python, ready for JSON."""
        about: dict[str, Any] = {
            "images": self.images,
            "splits": list(self.splits),
            "skipped": self.skipped,
            "identity": self.identity,
        }
        about |= self.result.to_dict()
        if self.masks:
            about["masks"] = self.masks.to_dict()
        if self.by_distance:
            ranges = [{"near": near, "far": far, **each.to_dict()} for (near, far), each in self.by_distance.items()]
            about["by_distance"] = {"unit": self.distance_unit, "ranges": ranges}
        if self.report_protocol:
            about["report_protocol"] = self.report_protocol.to_dict()
        return about

    def table(self) -> str:
        """The result as text for a terminal, in percent."""
        where = f" ({', '.join(self.splits)})" if self.splits else ""
        names = class_names(self.classes)
        parts = [
            f"{self.images} images{where}, {self.classes} classes\n{format_table(self.result, class_names=names)}"
        ]
        if self.masks:
            parts.append(format_masks(self.masks))
        if self.by_distance:
            parts.append(format_distances(self.by_distance, str(self.distance_unit)))
        if self.report_protocol:
            parts.append(f"the report's protocol: {format_averages(self.report_protocol)}")
        return "\n\n".join(parts)


def score(
    predictions: Path,
    truth: Path | None = None,
    *,
    splits: Sequence[str] = (),
    convention: str = "coco",
    matching: str | None = None,
    classes: int = 19,
    bootstrap: int = 0,
    masks: bool = False,
    distances: Sequence[float] = (),
    protocol: str | None = None,
    detections: Path | None = None,
    progress: bool = False,
) -> Score:
    """Panoptic quality of `predictions` over 27, 19 or 7 Cityscapes classes.

    `predictions` is a folder written by `mbps build` or anything `segmentation_sets.open_labels` reads (an export of
    ours is scored as the label set it is); `truth` likewise, or None for the ground truth of the label set's own source.
    `matching` None means "hungarian" for unnamed pseudo-classes and "none" otherwise. `bootstrap` resamples give
    confidence intervals.

    On request also: `masks`, class-agnostic average precision of the instances; `distances`, ascending limits of ranges
    that are scored apart, by the depth of the truth in metres or else the label set's own; `protocol`, one of
    `metrics.MODES`, the report's way of painting masks. `detections` are a detector's files (`read_detections`), whose
    masks take the place of the predicted instances in `masks` and `protocol`.

    Raises `InputError` if nothing can be scored, or what was asked for is not in the labels; images of a label set whose
    truth cannot be used are listed in `skipped`.
    """
    predicted, true, splits = _open(predictions, truth, splits, classes, with_depth=bool(distances))
    measures = _Measures(predicted, convention, matching, classes, distances, masks)
    if detections is not None:
        wanted = [image_id for image_id in predicted if image_id in true]
        measures.detected = DetectedMasks.read(detections, wanted, split_in_id=truth is None)
    skipped: list[str] = []
    for image_id, labels, true_labels_of_image in _pairs(predicted, true, skipped, progress):
        measures.add(image_id, labels, true_labels_of_image)
    if not len(measures.quality):
        raise InputError(
            f"{predictions}: no image has ground truth to score against; labelling does not need it, scoring does "
            "(gtFine of Cityscapes, --truth-dir for a folder, or --truth)."
        )
    scored = measures.compute(bootstrap)
    if protocol is not None:
        painted = measures.report_protocol(protocol, scored.result, _pairs(predicted, true, [], progress))
        scored = replace(scored, report_protocol=painted)
    identity = None if predicted.label_set is None else predicted.label_set.origin.get("identity")
    return replace(scored, splits=splits, skipped=skipped, identity=identity)


def _open(
    predictions: Path, truth: Path | None, splits: Sequence[str], classes: int, *, with_depth: bool
) -> tuple[LabelSource, LabelSource, tuple[str, ...]]:
    """Both sides, and the splits of the label set that are scored."""
    if not (predictions / "labelset.json").is_file():
        if truth is None:
            _say_that_truth_is_missing(predictions)
        predicted, true = open_pair(predictions, truth, classes=classes, splits=tuple(splits))
        check_pairs(predicted, true, only_predicted=True)
        return predicted, true, tuple(splits)
    built = LabelSetFolder(predictions)
    chosen = tuple(splits or built.splits)
    predicted = predicted_labels(built, chosen, classes, split_in_id=truth is None, with_depth=with_depth)
    if truth is None:
        return predicted, true_labels(built, chosen, classes), chosen
    true = open_pair(predicted, truth, classes=classes)[1]
    check_pairs(predicted, true, only_predicted=True)
    return predicted, true, chosen


def _say_that_truth_is_missing(predictions: Path) -> None:
    if predictions.exists() and find_export(predictions) is not None:
        raise InputError(
            f"{predictions} is an export, which does not know its source; give the ground truth with --truth."
        )
    LabelSetFolder(predictions)  # raises: without a label set there must be a truth


def _pairs(
    predicted: LabelSource, true: LabelSource, skipped: list[str], progress: bool
) -> Iterator[tuple[str, Labels, Labels]]:
    """Image id, prediction at the size of the truth, and truth; unusable truth is added to `skipped`."""
    for image_id in _with_progress(predicted) if progress else predicted:
        if image_id not in true:
            continue
        try:
            truth = true[image_id]
        except InputError as error:
            skipped.append(str(error))
            continue
        yield image_id, _resized(predicted[image_id], *truth.semantic.shape), truth


def _with_progress(image_ids: LabelSource) -> Iterable[str]:
    from tqdm import tqdm

    return tqdm(image_ids, desc=f"{'scoring':>16}", unit="img")


def _resized(labels: Labels, height: int, width: int) -> Labels:
    semantic = resize_nearest(np.asarray(labels.semantic), height, width)
    instance = None if labels.instance is None else resize_nearest(np.asarray(labels.instance), height, width)
    depth = None if labels.depth is None else resize_nearest(np.asarray(labels.depth), height, width)
    return replace(labels, semantic=semantic, instance=instance, depth=depth)


class _Measures:
    """What is taken of every pair of labels. A label set of ours says how it is matched and what its things are."""

    def __init__(
        self,
        predicted: LabelSource,
        convention: str,
        matching: str | None,
        classes: int,
        distances: Sequence[float],
        masks: bool,
    ) -> None:
        self._label_set, self._class_of, self._classes = predicted.label_set, predicted.class_of, classes
        settings = _metric_settings(predicted.label_set, convention, matching, classes)
        try:
            self._by_distance = PanopticQualityByDistance(distances, **settings) if distances else None
        except ValueError as error:
            raise InputError(f"Cannot score by distance: {error}") from error
        self.quality = self._by_distance.whole if self._by_distance else PanopticQuality(**settings)
        self._masks = MaskAveragePrecision() if masks else None
        self._true_depth: set[bool] = set()
        self.detected: DetectedMasks | None = None

    def add(self, image_id: str, predicted: Labels, true: Labels) -> None:
        """Add one image; both sides have one size."""
        maps = {**predicted.as_prediction(), **true.as_truth()}
        if self._by_distance is None:
            self.quality.update(**maps, image_id=image_id)
        else:
            depth = predicted.depth if true.depth is None else true.depth
            if depth is None:
                raise InputError(
                    f"image {image_id!r}: neither ground truth nor labels hold depth; only a folder written by "
                    "`mbps build` can be scored by distance."
                )
            self._true_depth.add(true.depth is not None)
            self._by_distance.update(**maps, depth=depth, image_id=image_id)
        if self._masks is not None:
            things = _SPLITS[self._classes][0]
            add_masks(self._masks, predicted, true, image_id, pred_things=self._pred_things(), things=things,
                      detected=self.detected)  # fmt: skip

    def compute(self, bootstrap: int) -> Score:
        """The scores of all images so far, with `bootstrap` resamples for intervals of the whole."""
        images, masks = len(self.quality), self._masks.compute() if self._masks else None
        result = self.quality.compute(bootstrap=bootstrap)
        if self._by_distance is None:
            return Score(result, images, self._classes, masks=masks)
        ranges = {limits: each for limits, each in self._by_distance.compute().items() if limits is not None}
        unit = " or ".join(_DISTANCE_UNITS[known] for known in sorted(self._true_depth, reverse=True))
        return Score(result, images, self._classes, masks=masks, by_distance=ranges, distance_unit=unit)

    def report_protocol(
        self, mode: str, named: PanopticResult, pairs: Iterator[tuple[str, Labels, Labels]]
    ) -> PanopticResult:
        """The report's protocol over all `pairs`; pseudo-classes are named as in the result `named`."""
        things, stuff = _SPLITS[self._classes]
        pred_things = self._pred_things()
        class_of = None if self.quality.settings.matching == "none" else named.assignment
        thing_classes = pred_things if class_of is None else {class_of[k] for k in pred_things if k in class_of}
        protocol = ReportProtocol(things, stuff, pred_things=thing_classes, mode=mode)
        for image_id, predicted, true in pairs:
            add_to_protocol(protocol, predicted, true, image_id, pred_things=pred_things, class_of=class_of,
                            detected=self.detected)  # fmt: skip
        return protocol.compute()

    def _pred_things(self) -> set[int]:
        """(Pseudo-)classes of the prediction whose segments are instances."""
        if self._label_set is not None:
            things = self._label_set.things
            if self._class_of is None:
                return set(things)
            return {self._class_of[k] for k in things if k in self._class_of}
        if self.quality.settings.matching != "none" and self.detected is None:
            raise InputError(
                "Which pseudo-classes are things is known of label sets of `mbps build` and their exports only; give "
                "masks with --detections, or classes with --matching none."
            )
        return set(_SPLITS[self._classes][0])


def _metric_settings(
    label_set: Description | None, convention: str, matching: str | None, classes: int
) -> dict[str, Any]:
    """Settings of the metric for a label set of ours (its classes decide the matching), or for anything else (None)."""
    things, stuff = _SPLITS[classes]
    settings: dict[str, Any] = {"things": things, "stuff": stuff, "convention": convention}
    if label_set is None or label_set.named:
        return settings | {"matching": matching or "none"}
    return settings | {
        "pseudo_things": label_set.things,
        "pseudo_stuff": tuple(k for k in range(len(label_set.class_names)) if k not in label_set.things),
        "matching": matching or "hungarian",
        "pred_void": label_set.void,
    }
