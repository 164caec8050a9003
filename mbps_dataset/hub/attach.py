"""Joining images back to a label-only set.

Cityscapes may not be redistributed, so published sets hold labels only. Whoever has the images joins them by
`image_id`; nothing is copied, the column points at the files.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets

from mbps_dataset.errors import InputError
from mbps_dataset.reading.image_files import HEAD_BYTES, is_photograph
from mbps_dataset.sources import open_source, source_of_folder
from mbps_dataset.sources.files import FileFrame
from mbps_dataset.sources.images import check_file


def attach_images(
    dataset: datasets.Dataset, data_dir: str | Path, *, source: str | None = None, **source_options: Any
) -> datasets.Dataset:
    """`dataset` with an `image` column of the files below `data_dir` whose id is the row's `image_id`.

    `source` is a name of `mbps_dataset.sources.SOURCES` whose images are files, guessed from what the folder holds if it is None, and
    `source_options` what the labels were made with, such as ``sequence=True``. Pixels are `mbps_dataset.to_rgb` of a row's
    image. Raises `InputError` naming the first ids without a file, or a file that is no
    PNG, JPEG or WebP: `datasets` would hand it to whatever reader of Pillow's takes it.
    """
    opened = open_source(source or source_of_folder(data_dir), data_dir=data_dir, **source_options)
    paths = {
        f.image_id: str(f.path) for split in opened.splits() for f in opened.frames(split) if isinstance(f, FileFrame)
    }
    wanted = dataset["image_id"]
    missing = [image_id for image_id in wanted if image_id not in paths]
    if missing:
        raise InputError(
            f"{data_dir}: no image for {len(missing)} of {len(dataset)} rows, e.g. {', '.join(missing[:3])}; "
            f"give the folder the labels were made from, and source= if they were not made as {opened.name!r}."
        )
    column = [paths[image_id] for image_id in wanted]
    for path in column:
        check_file(Path(path), path)
        with open(path, "rb") as stream:
            if not is_photograph(stream.read(HEAD_BYTES)):
                raise InputError(f"{path}: not a PNG, JPEG or WebP image; convert it or take it out of the folder.")
    without = dataset.remove_columns("image") if "image" in dataset.column_names else dataset
    joined = without.add_column("image", column).cast_column("image", datasets.Image())
    return joined.select_columns(["image_id", "image", *(c for c in without.column_names if c != "image_id")])
