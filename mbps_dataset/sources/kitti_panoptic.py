"""KITTI Panoptic Segmentation (Mohan and Valada, EfficientPS, 2021): 855 training and 200 validation images of KITTI.

``{training,validation}/images/{name}.png`` and ``annotations/{name}.png``, in whose colours ``R + 256 G + 65536 B`` is
Cityscapes' instance id: a label id below 1000 is stuff, or a group of things, else ``label id * 1000 + number``.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from mbps_dataset import taxonomy
from mbps_dataset.errors import InputError
from mbps_dataset.sources.class_table import colours_as_numbers, truth_of
from mbps_dataset.sources.frame import Truth
from mbps_dataset.sources.labelled import LabelledFrame, LabelledSource, read_colours


class KittiPanopticSource(LabelledSource):
    """Images of KITTI Panoptic Segmentation at `data_dir`."""

    name = "kitti-panoptic"
    layout = "training/images and training/annotations (KITTI Panoptic Segmentation)"

    def find(self) -> Iterable[tuple[str, LabelledFrame]]:
        for folder, split in (("training", "train"), ("validation", "validation"), ("testing", "test")):
            for frame in self.frames_below(self.root / folder / "images", self.root / folder / "annotations"):
                yield split, frame

    def read(self, frame: LabelledFrame) -> Truth:
        assert frame.label_path is not None
        numbers = colours_as_numbers(read_colours(frame.label_path, "RGB"))
        label_ids = np.where(numbers >= 1000, numbers // 1000, numbers)
        if (strange := label_ids >= len(taxonomy.CITYSCAPES)).any():
            raise InputError(
                f"{frame.label_path}: holds the id {int(numbers[strange][0])}, which is no instance id of Cityscapes; give the "
                "annotations as they are published."
            )
        objects = np.where(numbers >= 1000, numbers % 1000 + 1, 0)
        return truth_of(label_ids.astype(np.uint8), objects, str(frame.label_path))
