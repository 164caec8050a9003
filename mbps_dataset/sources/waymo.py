"""Waymo Open Dataset, panoptic labels of cameras (Mei et al., ECCV 2022), from its Parquet files or from extracted frames.

Version 2: ``{training,validation,testing}/camera_image/{segment}.parquet`` and ``camera_segmentation/{segment}.parquet``. Extracted:
the same folders with ``{segment}/{timestamp}_{camera}.jpg`` (or .png) and ``{segment}/{timestamp}_{camera}.png``, the label of 16 bits as
the Parquet file holds it. A label is ``divisor * class + object``; the divisor is 1000.

Decisions: only labelled frames are listed where a split has labels (one of ten is), all of them otherwise; a cyclist or motorcyclist is
Cityscapes' rider, markings on the road are road, and cones, animals and what pedestrians push are static or dynamic. Waymo has no
wall, fence, terrain, train: with 16 classes the first three are left out of averages.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from mbps_dataset.arrays import RGBImage
from mbps_dataset.errors import InputError
from mbps_dataset.reading.image_files import decode_image, decode_map
from mbps_dataset.sources.class_table import ClassTable, truth_of
from mbps_dataset.sources.frame import Truth
from mbps_dataset.sources.images import read_bytes
from mbps_dataset.sources.labelled import SPLITS, LabelledFrame, LabelledSource, images_below


WAYMO = ClassTable(
    "Waymo Open Dataset (protos/camera_segmentation.proto)",
    {
        "undefined": "unlabeled", "ego vehicle": "ego vehicle", "car": "car", "truck": "truck", "bus": "bus",
        "other large vehicle": "truck", "bicycle": "bicycle", "motorcycle": "motorcycle", "trailer": "trailer",
        "pedestrian": "person", "cyclist": "rider", "motorcyclist": "rider", "bird": "dynamic", "ground animal": "dynamic",
        "construction cone pole": "static", "pole": "pole", "pedestrian object": "dynamic", "sign": "traffic sign",
        "traffic light": "traffic light", "building": "building", "road": "road", "lane marker": "road",
        "road marker": "road", "sidewalk": "sidewalk", "vegetation": "vegetation", "sky": "sky", "ground": "ground",
        "dynamic": "dynamic", "static": "static",
    },
)  # fmt: skip
_DIVISOR = 1000
_IMAGE, _LABEL = "[CameraImageComponent].image", "[CameraSegmentationLabelComponent].panoptic_label"
_OWN_DIVISOR = "[CameraSegmentationLabelComponent].panoptic_label_divisor"
_KEYS = ("key.frame_timestamp_micros", "key.camera_name")


@dataclass(frozen=True)
class WaymoFrame(LabelledFrame):
    """An image in a Parquet file; `row` and `label_row` are rows of the files `path` and `label_path`."""

    row: int = 0
    label_row: int = 0

    def image_bytes(self) -> bytes:
        return _cell(self.path, _IMAGE, self.row)

    def image(self) -> RGBImage:
        return decode_image(self.image_bytes(), f"{self.path}: {self.image_id}")

    def digest(self) -> str:
        return hashlib.sha256(self.image_bytes()).hexdigest()


class WaymoSource(LabelledSource):
    """Images of Waymo's cameras at `data_dir`."""

    name = "waymo"
    layout = "training/camera_image and training/camera_segmentation (Waymo Open Dataset, version 2)"

    def find(self) -> Iterable[tuple[str, LabelledFrame]]:
        for folder in ("training", "validation", "testing"):
            images, labels = (self.root / folder / kind for kind in ("camera_image", "camera_segmentation"))
            for image_id, path in images_below(images):
                label_path = labels / f"{image_id}.png"
                if label_path.is_file() or not labels.is_dir():
                    yield SPLITS[folder], self.frame(image_id, path, label_path if labels.is_dir() else None)
            for path in sorted(images.glob("*.parquet")) if images.is_dir() else ():
                for frame in self._rows(path, labels / path.name, labels.is_dir()):
                    yield SPLITS[folder], frame

    def _rows(self, path: Path, label_path: Path, has_labels: bool) -> Iterable[WaymoFrame]:
        pictures = _keys(path)
        if not has_labels:
            for key, row in pictures.items():
                yield WaymoFrame(f"{path.stem}/{key[0]}_{key[1]}", path, read=self.read, row=row)
            return
        for key, label_row in _keys(label_path).items():
            if key not in pictures:
                raise InputError(
                    f"{path}: has no picture of camera {key[1]} at {key[0]}, which {label_path} labels; copy it again."
                )
            image_id = f"{path.stem}/{key[0]}_{key[1]}"
            yield WaymoFrame(image_id, path, label_path, read=self.read, row=pictures[key], label_row=label_row)

    def read(self, frame: LabelledFrame) -> Truth:
        path = frame.label_path
        assert path is not None
        where, divisor, data = str(path), _DIVISOR, b""
        if isinstance(frame, WaymoFrame):
            where = f"{path}: {frame.image_id}"
            divisor, data = _cell(path, _OWN_DIVISOR, frame.label_row), _cell(path, _LABEL, frame.label_row)
        numbers = decode_map(data or read_bytes(path, where), where).astype(np.int64)
        return truth_of(WAYMO.label_ids(numbers // divisor, where), numbers % divisor, where)


def _parquet(path: Path, columns: tuple[str, ...], group: int | None = None) -> Any:
    """A table of `columns`, of one row group or all. Raises `InputError` naming the file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            return file.read(list(columns)) if group is None else file.read_row_group(group, list(columns))
    except (OSError, pa.ArrowException, KeyError) as error:
        raise InputError(f"{path}: cannot be read as Parquet of Waymo ({error}); copy it again.") from None


def _keys(path: Path) -> dict[tuple[int, int], int]:
    """Row of every timestamp and camera. Raises `InputError` naming the file."""
    table = _parquet(path, _KEYS)
    if missing := [key for key in _KEYS if key not in table.column_names]:
        raise InputError(f"{path}: has no column {missing[0]}; give the Parquet files of Waymo's version 2.")
    times, cameras = (table.column(key).to_pylist() for key in _KEYS)
    return {key: row for row, key in enumerate(zip(times, cameras))}


def _cell(path: Path, column: str, row: int) -> Any:
    """One value. Raises `InputError` naming the file."""
    for group, rows in enumerate(_groups(path)):
        if row < rows:
            return _column(path, column, group)[row].as_py()
        row -= rows
    raise InputError(f"{path}: has fewer rows than before; open it again.")


@lru_cache(maxsize=64)
def _groups(path: Path) -> tuple[int, ...]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        return tuple(file.metadata.row_group(k).num_rows for k in range(file.num_row_groups))


@lru_cache(maxsize=3)
def _column(path: Path, column: str, group: int) -> Any:
    """A column of one row group: frames are asked for in order, so it is read once; Waymo's groups are of some megabytes."""
    table = _parquet(path, (column,), group)
    if column not in table.column_names:
        raise InputError(f"{path}: has no column {column}; give the Parquet files of Waymo's version 2.")
    return table.column(column)
