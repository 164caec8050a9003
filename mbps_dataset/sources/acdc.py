"""ACDC (Sakaridis et al., ICCV 2021): streets in fog, at night, in rain and in snow, labelled as Cityscapes.

``rgb_anon/{condition}/{train,val,test}/{drive}/{name}_rgb_anon.png`` and ``gt/…/{name}_gt_labelIds.png``; with the panoptic
labels also ``gt_panoptic/…/{name}_gt_panoptic.png``, whose colours ``R + 256 G + 65536 B`` are Cityscapes' instance ids. Without
those every pixel of a thing class is a group. The id of an image is its path below ``rgb_anon``.

Decisions: the label map says what a pixel is, the panoptic map only which object; where the two disagree the files do not
belong together, which is an error. Reference images of the same places in clear weather (``train_ref``) are left out.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from mbps_dataset.errors import InputError
from mbps_dataset.sources.class_table import colours_as_numbers, truth_of
from mbps_dataset.sources.files import read_label_ids
from mbps_dataset.sources.frame import Truth
from mbps_dataset.sources.labelled import SPLITS, LabelledFrame, LabelledSource, images_below, read_colours


_IMAGE, _LABEL, _PANOPTIC = "_rgb_anon.png", "_gt_labelIds.png", "_gt_panoptic.png"


class AcdcSource(LabelledSource):
    """Images of ACDC at `data_dir`."""

    name = "acdc"
    layout = "rgb_anon and gt (ACDC)"

    def find(self) -> Iterable[tuple[str, LabelledFrame]]:
        images = self.root / "rgb_anon"
        for condition in ("fog", "night", "rain", "snow"):
            for folder in ("train", "val", "test"):
                labels = self.root / "gt" / condition / folder
                for name, path in images_below(images / condition / folder, [_IMAGE]):
                    stem = name.removesuffix("_rgb_anon")
                    label_path = labels / f"{stem}{_LABEL}" if labels.is_dir() else None
                    yield SPLITS[folder], self.frame(f"{condition}/{folder}/{stem}", path, label_path)

    def read(self, frame: LabelledFrame) -> Truth:
        assert frame.label_path is not None
        label_ids = read_label_ids(frame.label_path)
        folder = self.root / "gt_panoptic"
        if not folder.is_dir():
            return truth_of(label_ids, None, str(frame.label_path))
        path = folder / f"{frame.image_id}{_PANOPTIC}"
        numbers = colours_as_numbers(read_colours(path, "RGB"))
        objects = np.where(numbers >= 1000, numbers, 0)
        if objects.shape == label_ids.shape and (strange := (objects > 0) & (objects // 1000 != label_ids)).any():
            raise InputError(
                f"{path}: holds the object {int(objects[strange][0])} where {frame.label_path.name} has the label id "
                f"{int(label_ids[strange][0])}; the two maps are not of one image."
            )
        return truth_of(label_ids, objects, str(path))
