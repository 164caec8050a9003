"""The two sides of a label set's score: its rows, and the ground truth of the source it was built from.

Of a row only `panoptic` and `segments_info` are read, which hold everything a score needs: `semantic` and `instance` are
painted from them, and the image is not looked at. `depth` is read only where distances are asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from mbps_dataset.errors import InputError
from mbps_dataset.formats.class_tables import LABEL_ID_TABLES, classes_of_train_ids
from mbps_dataset.formats.image_segmentation import Labels, as_labels, cityscapes_labels
from mbps_dataset.formats.label_source import LabelSource
from mbps_dataset.formats.opening import describe
from mbps_dataset.labelset.folder import LabelSetFolder
from mbps_dataset.labelset.parquet_files import read_row, read_rows
from mbps_dataset.records import decode_depth
from mbps_dataset.sources import Frame, Source


WHERE_IT_HAS_MOVED = "If it has moved, name its new place with --data-dir, or ground truth with --truth."
"""Advice of `mbps eval` and `mbps preview`."""


def predicted_labels(
    built: LabelSetFolder, splits: Sequence[str], classes: int, *, split_in_id: bool, with_depth: bool = False
) -> LabelSource:
    """Labels of a built label set; named classes are taken to the table of 19 or 7 `classes` by name.

    `split_in_id` writes ``split/`` before the image ids, which are unique within a split only; `with_depth` also reads
    the depth it was labelled with. Raises `InputError` for an unknown split, for an image id in two splits, and where
    named classes are to be scored as 27.
    """
    described = describe(built, "parquet")
    class_of = None
    if described.named:
        class_of = classes_of_train_ids(described.class_names, classes, str(built.root))
    columns = ["panoptic", "segments_info", *(("depth", "depth_scale") if with_depth else ())]
    readers: dict[str, Callable[[], Labels]] = {}
    for split in splits:
        before = len(readers)
        for path in built.files(split):
            for index, row_id in enumerate(row["image_id"] for row in read_rows(path, ["image_id"])):
                image_id = f"{split}/{row_id}" if split_in_id else row_id
                if image_id in readers:
                    raise InputError(f"image {row_id!r} is in two splits of {built.root}; choose one with --split.")
                readers[image_id] = partial(_row_labels, path, index, columns, image_id, class_of, described.void)
        if len(readers) - before != built.document["counts"][split]["rows"]:
            built.row_count(split)  # raises: the score of a part of a set is not that of the set
    return LabelSource(readers, str(built.root), class_of, described)


def _row_labels(
    path: Path, index: int, columns: list[str], image_id: str, class_of: Mapping[int, int] | None, void: int
) -> Labels:
    row = read_row(path, index, columns)
    labels = as_labels(row, image_id, class_of=class_of, void=void)
    if "depth" in row:
        labels = replace(labels, depth=decode_depth(row["depth"], row["depth_scale"]))
    return labels


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
            if frame.has_truth:
                readers[f"{split}/{frame.image_id}"] = partial(labels_of_truth, frame, classes)
    return LabelSource(readers, f"the ground truth of {source.name}")


def labels_of_source(source: Source, splits: Sequence[str], classes: int) -> LabelSource:
    """Ground truth of the images of any source by image id; images without it are left out.

    Raises `InputError` for an unknown split, and for an image id in two splits.
    """
    readers: dict[str, Callable[[], Labels]] = {}
    for split in splits or source.splits():
        for frame in source.frames(split):
            if frame.image_id in readers:
                raise InputError(
                    f"image {frame.image_id!r} is in two splits of {source.name}; choose one with --split."
                )
            if frame.has_truth:
                readers[frame.image_id] = partial(labels_of_truth, frame, classes)
    return LabelSource(readers, f"the ground truth of {source.name}")


def labels_of_truth(frame: Frame, classes: int) -> Labels:
    """Ground truth of one image in 27, 19, 16, 7 or 2 `classes`, with depth where it has any. Raises `InputError` if it has gone."""
    truth = frame.truth()
    if truth is None:
        raise InputError(f"{frame.image_id}: its ground truth has gone.")
    labels = cityscapes_labels(truth.label_ids, truth.instance_ids, LABEL_ID_TABLES[classes], frame.image_id)
    return labels if truth.depth_m is None else replace(labels, depth=truth.depth_m)
