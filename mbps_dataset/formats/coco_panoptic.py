"""COCO panoptic: a JSON and a folder of RGB PNGs per split, as panopticapi, mmdetection and fiftyone read them.

    TARGET/panoptic_SPLIT.json    annotations, images, categories
    TARGET/panoptic_SPLIT/X.png   segment ids, ``R + 256 G + 65536 B``, 0 = void

Decisions: category ids are our class ids (0 … k-1 for pseudo-classes, train ids where classes are named), segment ids
are ours, image ids are numbers from 1 (loaders convert them to int) and the file's stem is the image's name. ``score``
is an extra key, which readers of the format ignore. Any number of classes fits.

Held: ids, classes, things, areas, boxes, scores. Not held: the class map under void and inside instances, and depth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mbps_dataset.errors import InputError
from mbps_dataset.formats.coco_files import read_coco
from mbps_dataset.formats.description import Description, LabelRow, file_stem, image_id_of, split_folder
from mbps_dataset.formats.image_segmentation import Labels, labels_from_segments
from mbps_dataset.formats.target import CocoFile, save_segment_ids
from mbps_dataset.reading.segments_info import listed_segments


HELD = "segment ids, classes, things, areas, boxes, scores"
NOT_HELD = "the class map under void and inside instances, depth"
LABEL_FILES = ("panoptic_*.json", "panoptic_*/*.png")


class Writer:
    """Writes one split below `folder`."""

    def __init__(self, folder: Path, description: Description, split: str) -> None:
        self.folder, self.name = folder, f"panoptic_{split_folder(split)}"
        self.json = CocoFile(folder / self.json_path(split), categories(description), description.summary())
        self.count = 0

    @staticmethod
    def check(description: Description) -> None:
        """Any label set fits."""

    @staticmethod
    def json_path(split: str) -> str:
        """Where the annotations of a split lie below the target."""
        return f"panoptic_{split_folder(split)}.json"

    def write(self, row: LabelRow) -> None:
        """Write one image's PNG and annotation."""
        self.count += 1
        name = f"{file_stem(row.image_id)}.png"
        save_segment_ids(self.folder / self.name / name, row.panoptic)
        height, width = row.panoptic.shape
        self.json.add(
            {"id": self.count, "file_name": name, "height": height, "width": width},
            {"image_id": self.count, "file_name": name, "segments_info": [coco_segment(s) for s in row.segments]},
        )

    def close(self) -> None:
        """Finish the split."""
        self.json.close()


def categories(description: Description) -> list[dict[str, Any]]:
    """COCO's list of categories, one per class of the label set."""
    colours = description.palette().tolist()
    return [
        {"id": k, "name": name, "isthing": int(k in description.things), "color": colours[k],
         "supercategory": "thing" if k in description.things else "stuff"}
        for k, name in enumerate(description.class_names)
    ]  # fmt: skip


def coco_segment(segment: Mapping[str, Any], **changes: int) -> dict[str, Any]:
    """A segment as COCO lists it."""
    return {"id": int(segment["id"]), "category_id": int(segment["category_id"]), "area": int(segment["area"]),
            "bbox": [int(value) for value in segment["bbox"]], "iscrowd": 0,
            "score": float(segment["score"]), **changes}  # fmt: skip


def location(description: Description, split: str) -> str:
    """The path below the target that stands for a split."""
    return Writer.json_path(split)


def readers(
    folder: Path, description: Description, split: str, class_of: Mapping[int, int] | None, void: int
) -> dict[str, Callable[[], Labels]]:
    """Image id → reader of a split."""
    name = split_folder(split)
    classes = len(description.class_names)
    return coco_readers(folder / location(description, split), folder / f"panoptic_{name}", classes, class_of, void)


def coco_readers(
    path: Path, pictures: Path, classes: int, class_of: Mapping[int, int] | None, void: int
) -> dict[str, Callable[[], Labels]]:
    """Image id → reader of a COCO file of ours, whose categories are `classes` class ids.

    Raises `InputError` if it cannot be read; a reader also for other categories.
    """
    coco = read_coco(path, endings=())

    def reader(annotation: Mapping[str, Any], image_id: str) -> Callable[[], Labels]:
        def read() -> Labels:
            segments = annotation.get("segments_info")
            for segment in listed_segments(segments, f"{path}: image {image_id!r}").values():
                if not 0 <= segment.category_id < classes:
                    raise InputError(f"{path}: image {image_id!r}: segment {segment.id} has the category "
                                     f"{segment.category_id} of {classes}; correct it.")  # fmt: skip
            return labels_from_segments(pictures / annotation["file_name"], segments, image_id, class_of, void)

        return read

    named = {image_id_of(Path(each["file_name"]).stem): each for each in coco.annotations.values()}
    return {image_id: reader(annotation, image_id) for image_id, annotation in named.items()}
