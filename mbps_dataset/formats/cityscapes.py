"""The ``gtFine`` tree of Cityscapes, with the panoptic files that cityscapesScripts makes from it.

    TARGET/gtFine/SPLIT/CITY/X_gtFine_labelIds.png       uint8, 0 = unlabeled
    TARGET/gtFine/SPLIT/CITY/X_gtFine_instanceIds.png    uint16, ``label_id * 1000 + n`` for the n-th thing, else label_id
    TARGET/gtFine/SPLIT/CITY/X_gtFine_labelTrainIds.png  uint8, our class ids, 255 = void
    TARGET/gtFine/cityscapes_panoptic_SPLIT.json, …/     COCO panoptic, segment ids as in instanceIds

CITY is what stands before the first ``_`` of the image's name, as in Cityscapes (``images`` without one). All four say the same: the panoptic map
of the label set. detectron2 looks for the images in ``TARGET/leftImg8bit``: put or link them there. Decisions:

* named classes get Cityscapes' label ids. Pseudo-class k gets 7 + k, the first id that means anything; 248 of them fit
  8 bits. cityscapesScripts read the first 27, but under names that mean nothing, and leave out those on label ids they
  ignore (9, 10, 14–16, 18, 29, 30): for scores by class name them first, or use `mbps eval`;
* instances are numbered from 0 per class in our order. 16 bits hold 1000 instances of a class and things up to label id
  64, that is pseudo-class 57 (label id 65 holds 536); what does not fit is refused;
* a class that is a thing here and not in Cityscapes keeps its instances, and the other way round has none.

Held: classes, things, which pixels belong together and their order, and in the JSON scores. Not held: our segment ids,
the class map under void and inside instances, depth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mbps_dataset import taxonomy
from mbps_dataset.errors import InputError
from mbps_dataset.formats.class_tables import mapped_ids
from mbps_dataset.formats.coco_panoptic import coco_segment
from mbps_dataset.formats.description import Description, LabelRow, file_stem, image_id_of, split_folder
from mbps_dataset.formats.image_segmentation import Labels, read_map
from mbps_dataset.formats.target import CocoFile, save_png, save_segment_ids


HELD = "classes, things, instances and their order; scores in cityscapes_panoptic_*.json"
NOT_HELD = "segment ids, the class map under void and inside instances, depth"
LABEL_FILES = ("gtFine/*/*/*_labelIds.png", "gtFine/*/*/*_instanceIds.png")

FIRST_LABEL_ID = 7
MOST_PSEUDO_CLASSES = 255 - FIRST_LABEL_ID
INSTANCES_PER_CLASS = 1000


class Writer:
    """Writes one split below `folder`."""

    def __init__(self, folder: Path, description: Description, split: str) -> None:
        self.root, self.split = folder / "gtFine", split_folder(split)
        self.label_ids = label_ids(description)
        self.panoptic = f"cityscapes_panoptic_{self.split}"
        self.json = CocoFile(self.root / f"{self.panoptic}.json", _categories(description), description.summary())

    @staticmethod
    def check(description: Description) -> None:
        """Raises `InputError` if there are more classes than label ids."""
        if not description.named and len(description.class_names) > MOST_PSEUDO_CLASSES:
            raise InputError(
                f"The 8-bit labelIds of Cityscapes hold {MOST_PSEUDO_CLASSES} pseudo-classes, but this label set has "
                f"{len(description.class_names)}; coco-panoptic and maskformer hold any number."
            )

    def write(self, row: LabelRow) -> None:
        """Write one image's maps and its annotation. Raises `InputError` if its instances do not fit 16 bits."""
        stem = file_stem(row.image_id)
        base = self.root / self.split / city_of(stem) / f"{stem}_gtFine"
        class_of = {int(segment["id"]): int(segment["category_id"]) for segment in row.segments}
        instance_ids = self._instance_ids(row)
        labels = row.painted({k: self.label_ids[c] for k, c in class_of.items()}, np.uint8)
        save_png(base.with_name(f"{base.name}_labelIds.png"), labels)
        save_png(base.with_name(f"{base.name}_labelTrainIds.png"), row.painted(class_of, np.uint8, taxonomy.VOID))
        instances = row.painted(instance_ids, np.uint16)
        save_png(base.with_name(f"{base.name}_instanceIds.png"), instances)
        name = f"{base.name}_panoptic.png"
        save_segment_ids(self.root / self.panoptic / name, instances)
        height, width = row.panoptic.shape
        image = {"id": stem, "file_name": f"{base.name}_leftImg8bit.png", "height": height, "width": width}
        segments = [
            coco_segment(s, id=instance_ids[int(s["id"])], category_id=self.label_ids[int(s["category_id"])])
            for s in row.segments
        ]
        self.json.add(image, {"image_id": stem, "file_name": name, "segments_info": segments})

    def _instance_ids(self, row: LabelRow) -> dict[int, int]:
        """Cityscapes' instance id of every segment."""
        found, counts = {}, dict.fromkeys(range(len(self.label_ids)), 0)
        for segment in row.segments:
            category = int(segment["category_id"])
            label_id, number = self.label_ids[category], counts[category]
            counts[category] += 1
            value = label_id * INSTANCES_PER_CLASS + number if segment["isthing"] else label_id
            if value > 65_535 or number >= INSTANCES_PER_CLASS:
                raise InputError(
                    f"{row.image_id}: instance {number} of class {category} does not fit the 16-bit instanceIds of "
                    "Cityscapes; export to coco-panoptic or maskformer."
                )
            if number and not segment["isthing"]:
                raise InputError(f"{row.image_id}: stuff class {category} has two segments, which instanceIds of "
                                 "Cityscapes cannot tell apart; export to coco-panoptic or maskformer.")  # fmt: skip
            found[int(segment["id"])] = value
        return found

    def close(self) -> None:
        """Finish the split."""
        self.json.close()


def city_of(stem: str) -> str:
    """The folder of an image: what stands before the first ``_``, or "images".

    >>> city_of("ulm_000000_000019"), city_of("IMG0001")
    ('ulm', 'images')
    """
    city, separator, _ = stem.partition("_")
    return city if separator and city else "images"


def label_ids(description: Description) -> list[int]:
    """Label id of every class: Cityscapes' where named, else 7 + k."""
    if description.named:
        return [int(k) for k in taxonomy.TRAIN_ID_TO_LABEL_ID[: len(description.class_names)]]
    return [FIRST_LABEL_ID + k for k in range(len(description.class_names))]


def _categories(description: Description) -> list[dict[str, Any]]:
    groups = {c.name: c.category for c in taxonomy.CITYSCAPES} if description.named else {}
    return [
        {"id": label_id, "name": name, "color": list(colour), "supercategory": groups.get(name, "pseudo-class"),
         "isthing": int(k in description.things)}
        for k, (label_id, name, colour) in enumerate(
            zip(label_ids(description), description.class_names, description.palette().tolist())
        )
    ]  # fmt: skip


def location(description: Description, split: str) -> str:
    """The path below the target that stands for a split."""
    return f"gtFine/{split_folder(split)}"


def readers(
    folder: Path, description: Description, split: str, class_of: Mapping[int, int] | None, void: int
) -> dict[str, Callable[[], Labels]]:
    """Image id → reader of a split, from labelIds and instanceIds; every segment is an instance, stuff too.

    A reader raises `InputError` for label ids that the description does not know, but 0, which is void.
    """
    classes = {label_id: class_id for class_id, label_id in enumerate(label_ids(description))}
    target = {label_id: k if class_of is None else class_of.get(k, void) for label_id, k in classes.items()} | {
        0: void
    }

    def reader(path: Path, image_id: str) -> Callable[[], Labels]:
        def read() -> Labels:
            instance_path = path.with_name(path.name.replace("_labelIds.png", "_instanceIds.png"))
            semantic = mapped_ids(read_map(path, image_id), target, f"image {image_id!r}: {path}")
            return Labels(image_id, semantic, read_map(instance_path, image_id))

        return read

    files = sorted((folder / location(description, split)).glob("*/*_gtFine_labelIds.png"))
    named = {image_id_of(file.name.removesuffix("_gtFine_labelIds.png")): file for file in files}
    return {image_id: reader(file, image_id) for image_id, file in named.items()}
