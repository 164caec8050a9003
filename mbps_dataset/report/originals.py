"""The images that a label set was built from, and their ground truth, as far as they can still be reached.

A label set outlives the folder it was built from. The page then shows what it can and says what it could not look at:
truth that has moved is not the same as no truth (ours).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from mbps_dataset import taxonomy
from mbps_dataset.errors import InputError
from mbps_dataset.formats.image_segmentation import Labels
from mbps_dataset.formats.segmentation_sets import LabelSource, open_labels
from mbps_dataset.labelset.folder import LabelSetFolder
from mbps_dataset.records import DecodedRow
from mbps_dataset.scoring.label_set_labels import WHERE_IT_HAS_MOVED
from mbps_dataset.sources import Frame, Source, Truth


@dataclass(frozen=True)
class Originals:
    """Images of a split by id, their `source`, and truth that was given apart from it (`given_truth`).

    `fault` says why the source cannot be opened; it is "" where it can.
    """

    source: Source | None = None
    frames: Mapping[str, Frame] = field(default_factory=dict)
    given_truth: LabelSource | None = None
    fault: str = ""

    @property
    def has_truth(self) -> bool:
        """Whether there is truth of any image to look for."""
        return self.given_truth is not None or (self.source is not None and self.source.has_truth)

    def with_photo(self, row: DecodedRow) -> DecodedRow:
        """The row with its image, if it holds none and the image is at hand."""
        frame = self.frames.get(row.image_id)
        if row.image is not None or frame is None:
            return row
        try:
            return replace(row, image=frame.image())
        except InputError:
            return row

    def truth_of(self, image_id: str) -> Truth | None:
        """Ground truth of an image; None if there is none or it cannot be used, which the score tells of."""
        try:
            if self.given_truth is not None:
                return _truth_from(self.given_truth[image_id]) if image_id in self.given_truth else None
            frame = self.frames.get(image_id)
            return None if frame is None else frame.truth()
        except InputError:
            return None


def open_originals(
    built: LabelSetFolder, split: str, *, data_dir: Path | None = None, truth: Path | None = None
) -> Originals:
    """What a label set was built from; `data_dir` is where the images lie now, `truth` any form that `mbps eval` reads.

    Raises `InputError` if what is given here cannot be used; what the set itself remembers may have gone.
    """
    given = None if truth is None else open_labels(truth)
    try:
        source = built.open_source(data_dir=data_dir, with_truth=truth is None)
        frames = {frame.image_id: frame for frame in source.frames(split)}
    except InputError as error:
        if data_dir is not None:
            raise
        return Originals(given_truth=given, fault=f"{error} {WHERE_IT_HAS_MOVED}")
    if data_dir is not None:
        _check_images_are_those(built, split, frames, data_dir)
    return Originals(source, frames, given)


def _check_images_are_those(built: LabelSetFolder, split: str, frames: Mapping[str, Frame], data_dir: Path) -> None:
    """Raises `InputError` unless `frames` have the images of the first row, which other images would be scored for."""
    for row in built.rows(split):
        frame = frames.get(row.image_id)
        if frame is None:
            raise InputError(f"{data_dir} holds no image {row.image_id!r}, which {built.root} has labels of; give the "
                             "folder that --data-dir of `mbps build` named, where it lies now.")  # fmt: skip
        if row.image is not None and not np.array_equal(row.image, frame.image()):
            raise InputError(f"{data_dir}: the image {row.image_id!r} is not the one in {built.root}; give the folder that "
                             "the set was built from, where it lies now.")  # fmt: skip
        return


def _truth_from(labels: Labels) -> Truth:
    """Labels of the 19 classes in Cityscapes' encoding."""
    known = labels.semantic < len(taxonomy.CLASSES_19)
    label_ids = np.where(known, taxonomy.TRAIN_ID_TO_LABEL_ID[np.where(known, labels.semantic, 0)], 0).astype(np.uint8)
    instance_ids = label_ids.astype(np.int32)
    if labels.instance is not None:
        numbers = np.unique(labels.instance, return_inverse=True)[1].reshape(label_ids.shape)
        is_thing = known & (labels.instance > 0) & np.isin(labels.semantic, taxonomy.THINGS_19)
        instance_ids = np.where(is_thing, label_ids.astype(np.int32) * 1000 + numbers, instance_ids)
    return Truth(label_ids, instance_ids.astype(np.int32), None)
