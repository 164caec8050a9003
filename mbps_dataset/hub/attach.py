"""Joining images back to a label-only set.

Cityscapes may not be redistributed, so published sets hold labels only. Whoever has the images joins them by
`image_id`; nothing is copied, the column points at the files.
"""

from __future__ import annotations

from pathlib import Path

import datasets

from mbps_dataset.errors import InputError
from mbps_dataset.sources import open_source
from mbps_dataset.sources.files import FileFrame


def attach_images(dataset: datasets.Dataset, data_dir: str | Path, *, source: str | None = None) -> datasets.Dataset:
    """`dataset` with an `image` column of the files below `data_dir` whose id is the row's `image_id`.

    `source` is "cityscapes" or "folder" (guessed if None). Raises `InputError` naming the first ids without a file.
    """
    root = Path(data_dir).expanduser()
    name = source or ("cityscapes" if (root / "leftImg8bit").is_dir() else "folder")
    opened = open_source(name, data_dir=root)
    paths = {
        f.image_id: str(f.path) for split in opened.splits() for f in opened.frames(split) if isinstance(f, FileFrame)
    }
    missing = [image_id for image_id in dataset["image_id"] if image_id not in paths]
    if missing:
        raise InputError(
            f"{root}: no image for {len(missing)} of {len(dataset)} rows, e.g. {', '.join(missing[:3])}; "
            "give the folder the labels were made from."
        )
    without = dataset.remove_columns("image") if "image" in dataset.column_names else dataset
    column = [paths[image_id] for image_id in dataset["image_id"]]
    joined = without.add_column("image", column).cast_column("image", datasets.Image())
    return joined.select_columns(["image_id", "image", *(c for c in without.column_names if c != "image_id")])
