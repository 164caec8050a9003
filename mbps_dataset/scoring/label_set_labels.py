"""The two sides of a label set's score: its rows, and the ground truth of the source it was built from.

Of a row only `panoptic` and `segments_info` are read, which hold everything a score needs: `semantic` and `instance` are
painted from them, and the image is not looked at. `depth` is read only where distances are asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mbps_dataset import taxonomy
from mbps_dataset.errors import InputError
from mbps_dataset.formats.image_segmentation import Labels, as_labels, cityscapes_labels
from mbps_dataset.formats.opening import describe
from mbps_dataset.formats.segmentation_sets import LabelSource
from mbps_dataset.labelset.folder import LabelSetFolder
from mbps_dataset.labelset.parquet_files import read_row, read_rows
from mbps_dataset.records import decode_depth
from mbps_dataset.sources import Frame, Source


WHERE_IT_HAS_MOVED = "If it has moved, name its new place with --data-dir, or ground truth with --truth."
"""Advice of `mbps eval` and `mbps preview`."""

_TABLES = {27: taxonomy.LABEL_ID_TO_27, 19: taxonomy.LABEL_ID_TO_TRAIN_ID, 7: taxonomy.LABEL_ID_TO_7}


def predicted_labels(
    built: LabelSetFolder, splits: Sequence[str], classes: int, *, split_in_id: bool, with_depth: bool = False
) -> LabelSource:
    """Labels of a built label set; named classes are reduced to 7 if that is asked for.

    `split_in_id` writes ``split/`` before the image ids, which are unique within a split only; `with_depth` also reads
    the depth it was labelled with. Raises `InputError` for an unknown split, for an image id in two splits, and where
    named classes are to be scored as 27.
    """
    to_classes = None
    if built.calibration.cluster_to_class is not None and classes != 19:
        if classes == 27:
            raise InputError(f"{built.root}: its 19 named classes cannot be scored as 27; use --classes 19 or 7.")
        to_classes = taxonomy.TRAIN_ID_TO_7
    columns = ["panoptic", "segments_info", *(("depth", "depth_scale") if with_depth else ())]
    readers: dict[str, Callable[[], Labels]] = {}
    for split in splits:
        before = len(readers)
        for path in built.files(split):
            for index, row_id in enumerate(row["image_id"] for row in read_rows(path, ["image_id"])):
                image_id = f"{split}/{row_id}" if split_in_id else row_id
                if image_id in readers:
                    raise InputError(f"image {row_id!r} is in two splits of {built.root}; choose one with --split.")
                void = built.calibration.void
                readers[image_id] = partial(_row_labels, path, index, columns, image_id, void, to_classes)
        if len(readers) - before != built.document["counts"][split]["rows"]:
            built.row_count(split)  # raises: the score of a part of a set is not that of the set
    class_of = None if to_classes is None else dict(enumerate(to_classes.tolist()))
    return LabelSource(readers, str(built.root), class_of, describe(built, "parquet"))


def _row_labels(
    path: Path, index: int, columns: list[str], image_id: str, void: int, to_classes: NDArray[np.uint8] | None
) -> Labels:
    row = read_row(path, index, columns)
    labels = as_labels(row, image_id, void=void)
    if "depth" in row:
        labels = replace(labels, depth=decode_depth(row["depth"], row["depth_scale"]))
    return labels if to_classes is None else replace(labels, semantic=to_classes[labels.semantic])


def true_labels(
    built: LabelSetFolder, splits: Sequence[str], classes: int, source: Source | None = None
) -> LabelSource:
    """Ground truth of the images a label set was built from, by ``split/image_id``; images without it are left out.

    `source` takes the place of the label set's own, where that has moved. Raises `InputError` if that has moved.
    """
    if source is None:
        try:
            source = built.open_source()
        except InputError as error:
            raise InputError(f"{error} {WHERE_IT_HAS_MOVED}") from None
    readers: dict[str, Callable[[], Labels]] = {}
    for split in splits if source.has_truth else ():
        for frame in source.frames(split)[: built.document.get("limit")]:
            if getattr(frame, "label_path", frame) is not None:
                readers[f"{split}/{frame.image_id}"] = partial(_truth, frame, _TABLES[classes])
    return LabelSource(readers, f"the ground truth of {source.name}")


def _truth(frame: Frame, table: NDArray[np.uint8]) -> Labels:
    truth = frame.truth()
    if truth is None:
        raise InputError(f"{frame.image_id}: its ground truth has gone.")
    labels = cityscapes_labels(truth.label_ids, truth.instance_ids, table, frame.image_id)
    return labels if truth.depth_m is None else replace(labels, depth=truth.depth_m)
