"""What is taken of every pair of labels: panoptic quality, by distance, masks by themselves, the report's protocol.

Decisions (ours): predictions of another size are brought to that of the truth by nearest neighbour (Pillow's rule), but
not of another shape, which would be a transposed or cropped picture; under the convention "coco", segments of stuff that
are listed one by one stay apart where classes are compared as they are, as panopticapi has it, and where clusters are named
by U2Seg's votes, as its evaluator has it; they are merged where clusters or groups of classes become one class otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mbps_dataset import taxonomy
from mbps_dataset.errors import InputError
from mbps_dataset.formats.class_tables import CLASS_SPLITS, class_names
from mbps_dataset.formats.image_segmentation import Labels
from mbps_dataset.formats.label_source import LabelSource
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
from mbps_dataset.metrics.counts import right_kinds, things_an_image
from mbps_dataset.resizing import resize_nearest
from mbps_dataset.scoring.masks import DetectedMasks, add_masks, add_to_protocol
from mbps_dataset.scoring.sides import NEED_PSEUDO_THINGS, PseudoSplit, Sides, pseudo_split


_DISTANCE_UNITS = {True: "metres of the ground truth", False: "the unit of the label set's own depth"}
_STUFF_APART = ("none", "u2seg")  # matchings whose published evaluators keep segments of one class of stuff apart
_MOST_STRETCHED = 0.02  # of the ratio of sides: sizes that are rounded to 8 or 32 pixels, and no transposed picture


@dataclass(frozen=True)
class Score:
    """A metric result with what it was taken on; `identity` is that of the scored label set, if it is one.

    `images` were scored, of `predicted` predictions and `true` images with ground truth; `skipped` says what was left out
    and why, `missed` which images count as missed for want of a prediction.
    `protocol` is the named one it was taken by, if any. `things_an_image`, predicted and true, and `right_kinds`, how many
    (pseudo-)classes are things or stuff as their class is, of how many, where the predictions say which are things.
    `masks`, `by_distance` (near, far → result, in `distance_unit`) and `report_protocol` where they were asked for.
    """

    result: PanopticResult
    images: int
    classes: int
    splits: tuple[str, ...] = ()
    predicted: int = 0
    true: int = 0
    skipped: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    identity: str | None = None
    masks: DetectionResult | None = None
    by_distance: dict[tuple[float, float], PanopticResult] = field(default_factory=dict)
    distance_unit: str | None = None
    report_protocol: PanopticResult | None = None
    protocol: str | None = None
    things_an_image: tuple[float, float] | None = None
    right_kinds: tuple[int, int] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain Python, ready for JSON."""
        about: dict[str, Any] = {
            "images": self.images,
            "classes": self.classes,
            "protocol": self.protocol,
            "predicted_images": self.predicted,
            "true_images": self.true,
            "splits": list(self.splits),
            "skipped": self.skipped,
            "missed": self.missed,
            "identity": self.identity,
        }
        about |= self.result.to_dict()
        if self.things_an_image:
            about["things_an_image"] = dict(zip(("predicted", "true"), self.things_an_image))
        if self.right_kinds:
            about["right_kinds"] = dict(zip(("right", "of"), self.right_kinds))
        if self.masks:
            about["masks"] = self.masks.to_dict()
        if self.by_distance:
            ranges = [
                {"near": near, "far": None if math.isinf(far) else far, **each.to_dict()}
                for (near, far), each in self.by_distance.items()
            ]
            about["by_distance"] = {"unit": self.distance_unit, "ranges": ranges}
        if self.report_protocol:
            about["report_protocol"] = self.report_protocol.to_dict()
        return about

    def table(self) -> str:
        """The result as text for a terminal, in percent."""
        where = f" ({', '.join(self.splits)})" if self.splits else ""
        names = class_names(self.classes)
        by = f", protocol {self.protocol}" if self.protocol else ""
        parts = [
            f"{self.images} images{where}, {self.classes} classes{by}; predictions of {self.predicted} images, ground truth "
            f"of {self.true}\n{format_table(self.result, class_names=names)}"
        ]
        if self.things_an_image:
            kinds = ""
            if self.right_kinds:
                right, of = self.right_kinds
                kinds = f"; {right} of {of} {'classes' if self.result.matching == 'none' else 'clusters'} are of the right kind"
            predicted, true = self.things_an_image
            parts.append(f"things an image: {predicted:.1f} predicted, {true:.1f} true{kinds}")
        if self.masks:
            parts.append(format_masks(self.masks))
        if self.by_distance:
            parts.append(format_distances(self.by_distance, str(self.distance_unit)))
        if self.report_protocol:
            parts.append(f"the report's protocol: {format_averages(self.report_protocol)}")
        return "\n\n".join(parts)


def fitted(predicted: Labels, true: Labels, image_id: str) -> Labels:
    """A prediction in the size of the truth. Raises `InputError` naming the image if it has another shape."""
    if predicted.instance is not None and np.shape(predicted.instance) != np.shape(predicted.semantic):
        raise InputError(f"image {image_id!r}: its prediction has maps of {np.shape(predicted.semantic)} and "
                         f"{np.shape(predicted.instance)} pixels; give both in one size.")  # fmt: skip
    (height, width), (true_height, true_width) = np.shape(predicted.semantic), np.shape(true.semantic)
    if (height, width) == (true_height, true_width):
        return predicted
    across, down = height * true_width, width * true_height
    rounded = abs(across - down) <= max((true_height + true_width) / 2, _MOST_STRETCHED * max(across, down))
    if not rounded or (height, width) == (true_width, true_height):
        raise InputError(
            f"image {image_id!r}: its prediction is {height}x{width}, its ground truth {true_height}x{true_width} (height x "
            "width), which is another shape; transpose, pad or resize it to that of the ground truth."
        )

    def resized(labels: NDArray[Any] | None) -> NDArray[Any] | None:
        return None if labels is None else resize_nearest(np.asarray(labels), true_height, true_width)

    semantic = resize_nearest(np.asarray(predicted.semantic), true_height, true_width)
    return replace(predicted, semantic=semantic, instance=resized(predicted.instance), depth=resized(predicted.depth))


def with_ids_of_segments(labels: Labels, stuff: Sequence[int]) -> Labels:
    """Without instance ids on stuff unless they were listed: in a pair of maps they mean nothing there."""
    if labels.listed or labels.instance is None:
        return labels
    instance = np.where(np.isin(labels.semantic, stuff), 0, labels.instance)
    return replace(labels, instance=instance)


class Measures:
    """Scores of a set, image by image. A label set of ours says how it is matched and what its things are.

    Raises `InputError`, in the words of the command line, for settings that cannot be.
    """

    def __init__(
        self,
        sides: Sides,
        *,
        convention: str,
        matching: str,
        classes: int,
        distances: Sequence[float] = (),
        masks: bool = False,
        pseudo_things: Collection[int] | None = None,
        pseudo_stuff: Collection[int] | None = None,
    ) -> None:
        self._sides, self._classes, self._matching = sides, classes, matching
        self._pseudo = pseudo_split(sides.predicted, matching, pseudo_things, pseudo_stuff)
        settings = _metric_settings(sides, convention, matching, classes, self._pseudo)
        self._stuff_is_apart = not settings["merge_stuff"]
        try:
            self._by_distance = PanopticQualityByDistance(distances, **settings) if distances else None
        except ValueError as error:
            raise InputError(f"Cannot score by distance: {error}") from error
        self.quality = self._by_distance.whole if self._by_distance else PanopticQuality(**settings)
        self._masks = MaskAveragePrecision() if masks else None
        self._true_depth: set[bool] = set()
        self.detected: DetectedMasks | None = None

    def add(self, image_id: str, predicted: Labels, true: Labels) -> None:
        """Add one image."""
        predicted = fitted(predicted, true, image_id)
        self._require_declared(predicted, image_id)
        if self._stuff_is_apart:
            stuff = CLASS_SPLITS[self._classes][1]
            own = stuff if self._pseudo is None else self._pseudo.stuff
            predicted, true = with_ids_of_segments(predicted, own), with_ids_of_segments(true, stuff)
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
            things = CLASS_SPLITS[self._classes][0]
            add_masks(self._masks, predicted, true, image_id, pred_things=self._pred_things(), things=things,
                      detected=self.detected)  # fmt: skip

    def compute(self, bootstrap: int) -> Score:
        """The scores of all images so far, with `bootstrap` resamples for intervals of the whole."""
        images, masks = len(self.quality), self._masks.compute() if self._masks else None
        result = self.quality.compute(bootstrap=bootstrap)
        counted, right = self._kinds(result)
        scored = Score(result, images, self._classes, masks=masks, things_an_image=counted, right_kinds=right)
        if self._by_distance is None:
            return scored
        ranges = {limits: each for limits, each in self._by_distance.compute().items() if limits is not None}
        unit = " or ".join(_DISTANCE_UNITS[known] for known in sorted(self._true_depth, reverse=True))
        return replace(scored, by_distance=ranges, distance_unit=unit)

    def _kinds(self, result: PanopticResult) -> tuple[tuple[float, float] | None, tuple[int, int] | None]:
        """Counts of things, and of classes that are of the right kind; None where no one says which are things."""
        things = CLASS_SPLITS[self._classes][0]
        if self._pseudo is None:
            if self._matching != "none":
                return None, None
            return things_an_image(self.quality.table(), things, things), None
        counted = things_an_image(self.quality.table(), self._pseudo.things, things)
        return counted, right_kinds(self._pseudo.things, self._pseudo.stuff, result.semantic_assignment, things)

    def report_protocol(
        self, mode: str, named: PanopticResult, pairs: Iterator[tuple[str, Labels, Labels]]
    ) -> PanopticResult:
        """The report's protocol over all `pairs`; pseudo-classes are named as in the result `named`."""
        things, stuff = CLASS_SPLITS[self._classes]
        pred_things = self._pred_things()
        class_of = None if self.quality.settings.matching == "none" else named.assignment
        thing_classes = pred_things if class_of is None else {class_of[k] for k in pred_things if k in class_of}
        protocol = ReportProtocol(things, stuff, pred_things=thing_classes, mode=mode)
        for image_id, predicted, true in pairs:
            add_to_protocol(protocol, fitted(predicted, true, image_id), true, image_id, pred_things=pred_things, class_of=class_of,
                            detected=self.detected)  # fmt: skip
        return protocol.compute()

    def _require_declared(self, predicted: Labels, image_id: str) -> None:
        if self._pseudo is None or not self._pseudo.declared:
            return
        known = (*self._pseudo.things, *self._pseudo.stuff, self.quality.settings.pred_void)
        strange = np.unique(predicted.semantic[~np.isin(predicted.semantic, known)])
        if len(strange):
            raise InputError(
                f"image {image_id!r}: cluster {strange[0]} is neither among --pseudo-things nor --pseudo-stuff "
                f"({len(strange)} such clusters)."
            )

    def _pred_things(self) -> set[int]:
        """(Pseudo-)classes of the prediction whose segments are instances."""
        if self._pseudo is not None:
            return set(self._pseudo.things)
        if self._matching != "none" and self.detected is None:
            raise InputError(
                f"Which pseudo-classes are things is not known of {self._sides.predicted.name}; give --pseudo-things and "
                "--pseudo-stuff, masks with --detections, or classes with --matching none."
            )
        return set(CLASS_SPLITS[self._classes][0])


def matching_of(predicted: LabelSource, matching: str | None) -> str:
    """The matching that was asked for, or "hungarian" for a label set of clusters and "none" for anything else.

    Raises `InputError` if clusters would be taken for the classes that happen to have their numbers.
    """
    own = predicted.label_set
    is_clusters = own is not None and not own.named
    if is_clusters and matching == "none":
        raise InputError(f"{predicted.name}: its classes are clusters, whose numbers mean nothing, so --matching none cannot "
                         "score them; leave it out, or choose another.")  # fmt: skip
    return matching or ("hungarian" if is_clusters else "none")


def _metric_settings(
    sides: Sides, convention: str, matching: str, classes: int, pseudo: PseudoSplit | None
) -> dict[str, Any]:
    """Settings of the metric; clusters that nobody lists are those that are seen."""
    things, stuff = CLASS_SPLITS[classes]
    grouped = sides.predicted.groups_classes or sides.true.groups_classes
    settings: dict[str, Any] = {
        "things": things,
        "stuff": stuff,
        "convention": convention,
        "matching": matching,
        "pred_void": sides.predicted.void if matching != "none" else taxonomy.VOID,
        "merge_stuff": convention != "coco" or matching not in _STUFF_APART or grouped,
    }
    if classes == 16:
        settings["averaged"] = taxonomy.AVERAGED_16
    own = sides.predicted.label_set
    listed = pseudo is not None and (pseudo.declared or matching in NEED_PSEUDO_THINGS or (own and not own.named))
    if matching != "none" and listed and pseudo is not None:
        settings |= {"pseudo_things": pseudo.things, "pseudo_stuff": pseudo.stuff}
    return settings
