"""A folder that another trainer reads as it is: images linked, COCO panoptic PNG and JSON beside them.

What the layouts of `lightly_layout`, `mmdet_layout` and `detectron2_layout` share. Decisions (ours):

* labels are brought to the size of their image, nearest pixel, since trainers refuse maps of another size;
* `categories` lists things before stuff, each by class id: mmdetection numbers classes in that order and takes the first
  for things. Ids stay class ids, names stay names;
* an image without a segment is listed; most trainers leave it out by themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from mbps_dataset.formats import coco_panoptic
from mbps_dataset.formats.description import Description, LabelRow, file_stem, split_folder
from mbps_dataset.formats.image_segmentation import Labels
from mbps_dataset.formats.pictures import Picture
from mbps_dataset.formats.target import CocoFile, save_segment_ids


HELD = "images; segment ids, classes, things, areas, boxes, scores"
NOT_HELD = "the class map under void and inside instances, depth"


@dataclass(frozen=True)
class PicturedRow(LabelRow):
    """A row with the image it labels."""

    picture: Picture


@dataclass(frozen=True)
class Places:
    """Where things of a split lie below the target; ``{}`` is the split. `location` and `readers` are those of a format."""

    images: str
    pictures: str
    json: str

    def of(self, split: str) -> Places:
        """The places of one split."""
        name = split_folder(split)
        return Places(*(each.format(name) for each in (self.images, self.pictures, self.json)))

    def location(self, description: Description, split: str) -> str:
        """The path below the target that stands for a split."""
        return self.of(split).json

    def readers(
        self, folder: Path, description: Description, split: str, class_of: Mapping[int, int] | None, void: int
    ) -> dict[str, Callable[[], Labels]]:
        """Image id → reader of a split: the segments, as `coco_panoptic` reads them."""
        here, classes = self.of(split), len(description.class_names)
        return coco_panoptic.coco_readers(folder / here.json, folder / here.pictures, classes, class_of, void)


class TrainerFolder:
    """Writes one split below `folder`; a layout sets `places`, and `suffix` where a reader knows only one."""

    places: ClassVar[Places]
    suffix: ClassVar[str | None] = None

    def __init__(self, folder: Path, description: Description, split: str) -> None:
        self.folder, self.description, self.here = folder, description, self.places.of(split)
        self.json = CocoFile(folder / self.here.json, ordered_categories(description), description.summary())
        self.count = 0

    @staticmethod
    def check(description: Description) -> None:
        """Any label set fits."""

    def write(self, row: LabelRow) -> None:
        """Place one image, and write its PNG and annotation. Raises `InputError` if the image cannot be read."""
        assert isinstance(row, PicturedRow)
        self.count += 1
        stem, (height, width) = file_stem(row.image_id), row.picture.size_hw
        name, image_name = f"{stem}.png", stem + (self.suffix or row.picture.suffix)
        row.picture.place(self.folder / self.here.images / image_name)
        labels = at_size(row, height, width)
        save_segment_ids(self.folder / self.here.pictures / name, labels.panoptic)
        image = {"id": self.count, "file_name": image_name, "height": height, "width": width}
        segments = [coco_panoptic.coco_segment(segment) for segment in labels.segments]
        self.json.add(image, {"image_id": self.count, "file_name": name, "segments_info": segments})
        self.write_more(labels, image)

    def write_more(self, labels: LabelRow, image: Mapping[str, Any]) -> None:
        """What a layout has beside that; `labels` at the image's size."""

    def close(self) -> None:
        """Finish the split."""
        self.json.close()


def ordered_categories(description: Description) -> list[dict[str, Any]]:
    """COCO's list of categories, things first."""
    return sorted(coco_panoptic.categories(description), key=lambda category: not category["isthing"])


def names_of(description: Description, *, isthing: bool) -> dict[int, str]:
    """Names of things, or of stuff, by class id, ascending."""
    return {k: name for k, name in enumerate(description.class_names) if (k in description.things) == isthing}


def at_size(row: LabelRow, height: int, width: int) -> LabelRow:
    """The row with segments of `height` × `width` pixels, nearest pixel; those that vanish are dropped, ids closed up."""
    if row.panoptic.shape == (height, width):
        return row
    from mbps_dataset.stages.panoptic import Panoptic  # brings torch, which `mbps --help` does without

    listed = list(row.segments)
    numbered = row.painted({segment["id"]: k for k, segment in enumerate(listed, start=1)}, row.panoptic.dtype.type)
    whole = Panoptic.from_map(
        numbered,
        [segment["category_id"] for segment in listed],
        [bool(segment["isthing"]) for segment in listed],
        [float(segment["score"]) for segment in listed],
    ).resized(height, width)
    segments = [
        {"id": s.id, "category_id": s.class_id, "isthing": s.isthing, "area": s.area, "bbox": list(s.bbox),
         "score": s.score}
        for s in whole.segments
    ]  # fmt: skip
    return replace(row, panoptic=whole.segment_map, segments=segments)


def train_and_val(description: Description) -> tuple[str, str | None]:
    """The split to train on, whose folder is "train", or else the first, and that to validate on, "val", or None."""
    names = {split_folder(split): split for split in description.splits}
    return names.get("train") or next(iter(names.values())), names.get("val")
