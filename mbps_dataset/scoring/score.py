"""Scoring one set of labels against another: a built label set, its source, or any form that `label_sources` reads.

Unnamed pseudo-classes are matched to classes by the Hungarian method unless told otherwise; named classes are compared
as they are. Predictions of another size are brought to that of the truth by nearest neighbour (Pillow's rule).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as parquet
from tqdm import tqdm

from mbps_dataset import taxonomy
from mbps_dataset.errors import InputError
from mbps_dataset.formats.description import Description
from mbps_dataset.formats.image_segmentation import Labels, as_labels, cityscapes_labels
from mbps_dataset.formats.opening import describe
from mbps_dataset.formats.own_exports import find_export
from mbps_dataset.formats.segmentation_sets import LabelSource, check_pairs, class_names, open_pair
from mbps_dataset.labelset.folder import BuiltLabelSet
from mbps_dataset.metrics import PanopticQuality, PanopticResult, format_table
from mbps_dataset.records import decode
from mbps_dataset.sources import Frame
from mbps_dataset.stages.resizing import resize_nearest


_TABLES = {27: taxonomy.LABEL_ID_TO_27, 19: taxonomy.LABEL_ID_TO_TRAIN_ID, 7: taxonomy.LABEL_ID_TO_7}
_SPLITS = {
    27: (taxonomy.THINGS_27, taxonomy.STUFF_27),
    19: (taxonomy.THINGS_19, taxonomy.STUFF_19),
    7: (taxonomy.THINGS_7, taxonomy.STUFF_7),
}


@dataclass(frozen=True)
class Score:
    """A metric result with what it was taken on; `identity` is that of the scored label set, if it is one."""

    result: PanopticResult
    images: int
    classes: int
    splits: tuple[str, ...] = ()
    skipped: list[str] = field(default_factory=list)
    identity: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain Python, ready for JSON."""
        about = {
            "images": self.images,
            "splits": list(self.splits),
            "skipped": self.skipped,
            "identity": self.identity,
        }
        return about | self.result.to_dict()

    def table(self) -> str:
        """The result as text for a terminal, in percent."""
        where = f" ({', '.join(self.splits)})" if self.splits else ""
        names = class_names(self.classes)
        return f"{self.images} images{where}, {self.classes} classes\n{format_table(self.result, class_names=names)}"


def score(
    predictions: Path,
    truth: Path | None = None,
    *,
    splits: Sequence[str] = (),
    convention: str = "coco",
    matching: str | None = None,
    classes: int = 19,
    bootstrap: int = 0,
    progress: bool = False,
) -> Score:
    """Panoptic quality of `predictions` over 27, 19 or 7 Cityscapes classes.

    `predictions` is a folder written by `mbps build` or anything `label_sources.open_labels` reads (an export of ours is
    scored as the label set it is); `truth` likewise,
    or None for the ground truth of the label set's own source. `matching` None means "hungarian" for unnamed
    pseudo-classes and "none" otherwise. `bootstrap` resamples give confidence intervals. Raises `InputError` if nothing
    can be scored; images of a label set whose truth cannot be used are listed in `skipped`.
    """
    built = BuiltLabelSet(predictions) if (predictions / "labelset.json").is_file() else None
    if built is None and truth is None:
        _say_that_truth_is_missing(predictions)
    splits = tuple(splits or (built.splits if built else ()))
    if built is None:
        predicted, true = open_pair(predictions, truth, classes=classes, splits=splits)
    else:
        predicted = _rows_of(built, splits, classes, split_in_id=truth is None)
        true = _frames_of(built, splits, classes) if truth is None else open_pair(predicted, truth, classes=classes)[1]
    if truth is not None:
        check_pairs(predicted, true, only_predicted=True)
    metric = _metric(describe(built, "parquet") if built else predicted.label_set, convention, matching, classes)
    skipped = _update_all(metric, predicted, true, progress)
    if not len(metric):
        raise InputError(
            f"{predictions}: no image has ground truth to score against; labelling does not need it, scoring does "
            "(gtFine of Cityscapes, --truth-dir for a folder, or --truth)."
        )
    identity = built.document["identity"] if built else None
    if predicted.label_set is not None:
        identity = predicted.label_set.origin.get("identity")
    return Score(metric.compute(bootstrap=bootstrap), len(metric), classes, splits, skipped, identity)


def _say_that_truth_is_missing(predictions: Path) -> None:
    if predictions.exists() and find_export(predictions) is not None:
        raise InputError(
            f"{predictions} is an export, which does not know its source; give the ground truth with --truth."
        )
    BuiltLabelSet(predictions)  # raises: without a label set there must be a truth


def _metric(label_set: Description | None, convention: str, matching: str | None, classes: int) -> PanopticQuality:
    """The metric for a label set of ours (its classes decide the matching), or for anything else (None)."""
    things, stuff = _SPLITS[classes]
    if label_set is None or label_set.named:
        return PanopticQuality(things, stuff, convention=convention, matching=matching or "none")
    return PanopticQuality(
        things,
        stuff,
        pseudo_things=label_set.things,
        pseudo_stuff=tuple(k for k in range(len(label_set.class_names)) if k not in label_set.things),
        convention=convention,
        matching=matching or "hungarian",
        pred_void=label_set.void,
    )


def _update_all(metric: PanopticQuality, predicted: LabelSource, true: LabelSource, progress: bool) -> list[str]:
    skipped = []
    for image_id in tqdm(predicted, desc=f"{'scoring':>16}", unit="img", disable=not progress):
        if image_id not in true:
            continue
        try:
            truth = true[image_id]
        except InputError as error:
            skipped.append(str(error))
            continue
        labels = _resized(predicted[image_id], *truth.semantic.shape)
        metric.update(**labels.as_prediction(), **truth.as_truth(), image_id=image_id)
    return skipped


def _resized(labels: Labels, height: int, width: int) -> Labels:
    instance = None if labels.instance is None else resize_nearest(np.asarray(labels.instance), height, width)
    return replace(labels, semantic=resize_nearest(np.asarray(labels.semantic), height, width), instance=instance)


def _rows_of(built: BuiltLabelSet, splits: Sequence[str], classes: int, *, split_in_id: bool) -> LabelSource:
    """Predictions of a built label set; named classes are reduced to 7 if that is asked for.

    `split_in_id` writes ``split/`` before the image ids, which are unique within a split only.
    """
    to_classes = None
    if built.calibration.cluster_to_class is not None and classes != 19:
        if classes == 27:
            raise InputError(f"{built.root}: its 19 named classes cannot be scored as 27; use --classes 19 or 7.")
        to_classes = taxonomy.TRAIN_ID_TO_7
    readers: dict[str, Callable[[], Labels]] = {}
    for split in splits:
        for path in built.files(split):
            for index, row_id in enumerate(parquet.read_table(path, columns=["image_id"])["image_id"].to_pylist()):
                image_id = f"{split}/{row_id}" if split_in_id else row_id
                if image_id in readers:
                    raise InputError(f"image {row_id!r} is in two splits of {built.root}; choose one with --split.")
                readers[image_id] = partial(_row, path, index, image_id, built.calibration.void, to_classes)
    return LabelSource(readers, str(built.root))


def _row(path: Path, index: int, image_id: str, void: int, to_classes: np.ndarray | None) -> Labels:
    labels = as_labels(
        decode(_row_group(path, index // _group_rows(path))[index % _group_rows(path)]), image_id, void=void
    )
    return labels if to_classes is None else replace(labels, semantic=to_classes[labels.semantic])


@lru_cache(maxsize=1)
def _row_group(path: Path, group: int) -> list[dict[str, Any]]:
    columns = ["image_id", "semantic", "depth", "depth_scale", "instance", "panoptic", "segments_info"]
    return parquet.ParquetFile(path).read_row_group(group, columns=columns).to_pylist()


@lru_cache(maxsize=64)
def _group_rows(path: Path) -> int:
    return max(parquet.read_metadata(path).row_group(0).num_rows, 1)


def _frames_of(built: BuiltLabelSet, splits: Sequence[str], classes: int) -> LabelSource:
    """Ground truth of the source a label set was built from."""
    source = built.open_source()
    readers: dict[str, Callable[[], Labels]] = {}
    for split in splits if source.has_truth else ():
        for frame, has_truth in _with_truth(source.frames(split)):
            if has_truth:
                readers[f"{split}/{frame.image_id}"] = partial(_truth, frame, _TABLES[classes])
    return LabelSource(readers, f"the ground truth of {source.name}")


def _with_truth(frames: Sequence[Frame]) -> Iterator[tuple[Frame, bool]]:
    for frame in frames:
        yield frame, getattr(frame, "label_path", frame) is not None


def _truth(frame: Frame, table: np.ndarray) -> Labels:
    truth = frame.truth()
    if truth is None:
        raise InputError(f"{frame.image_id}: its ground truth has gone.")
    return cityscapes_labels(truth.label_ids, truth.instance_ids, table, frame.image_id)
