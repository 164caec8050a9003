"""What Mask2Former's and MaskFormer's detectron2 loaders read: COCO panoptic with class maps beside it.

    TARGET/annotations/panoptic_SPLIT.json
    TARGET/panoptic_SPLIT/X.png           segment ids, ``R + 256 G + 65536 B``, 0 = void
    TARGET/panoptic_semseg_SPLIT/X.png    class per pixel; 255 = void (65535 in 16 bits above 254 classes)

This is the layout of their COCO registration; images are looked for as ``SPLIT/X.jpg``. Decisions: category ids are our
class ids, which are contiguous from 0, so that one mapping {k: k} serves things and stuff; the class maps are the bytes
of our `semantic` column, unchanged (they hold ids; the palette is for the eye). Set ``ignore_label`` to the void above.
transformers' processors take the same files: the PNG decoded to ids, ``{id: category_id}``, and ``ignore_index=0``.

Held: ids, classes, things, areas, boxes, scores, the class map. Not held: depth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mbps_dataset.formats import coco_panoptic
from mbps_dataset.formats.description import Description, LabelRow, file_stem, split_folder
from mbps_dataset.formats.image_segmentation import Labels, read_map


HELD = "segment ids, classes, things, areas, boxes, scores, the class map"
NOT_HELD = "depth"
LABEL_FILES = ("annotations/*.json", "panoptic_*/*.png")


class Writer(coco_panoptic.Writer):
    """Writes one split below `folder`."""

    def __init__(self, folder: Path, description: Description, split: str) -> None:
        super().__init__(folder, description, split)
        self.classes = folder / f"panoptic_semseg_{split_folder(split)}"
        self.classes.mkdir(parents=True, exist_ok=True)

    @staticmethod
    def json_path(split: str) -> str:
        """Where the annotations of a split lie below the target."""
        return f"annotations/panoptic_{split_folder(split)}.json"

    def write(self, row: LabelRow) -> None:
        """Write one image's two PNGs and its annotation."""
        super().write(row)
        (self.classes / f"{file_stem(row.image_id)}.png").write_bytes(row.semantic_png)


def location(description: Description, split: str) -> str:
    """The path below the target that stands for a split."""
    return Writer.json_path(split)


def readers(folder: Path, description: Description, split: str, class_of: Mapping[int, int] | None,
            void: int) -> dict[str, Callable[[], Labels]]:  # fmt: skip
    """Image id → reader of a split: the segments, as `coco_panoptic` reads them."""
    pictures = folder / f"panoptic_{split_folder(split)}"
    classes = len(description.class_names)
    return coco_panoptic.coco_readers(folder / location(description, split), pictures, classes, class_of, void)


def class_map(folder: Path, split: str, image_id: str) -> NDArray[np.integer]:
    """The class map of an image, [H, W] with void as in the label set. Raises `InputError` if it cannot be read."""
    return read_map(folder / f"panoptic_semseg_{split_folder(split)}" / f"{file_stem(image_id)}.png", image_id)
