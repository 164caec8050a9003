"""BDD100K panoptic segmentation (Yu et al., CVPR 2020): 7,000 training and 1,000 validation images of the 10K part.

``images/10k/{train,val,test}/{name}.jpg`` and ``labels/pan_seg/bitmasks/{train,val}/{name}.png``, four channels of 8 bits:
the class, attributes (8 truncated, 4 occluded, 2 crowd, 1 ignore), and ``256 B + A`` the number of the segment.

Decisions: a segment with the attribute crowd is a group, one to be ignored is void. BDD100K tells garage, lane divider, street
light and other kinds apart that Cityscapes does not: they are what Cityscapes' definition makes of them, which BDD100K's own
train ids leave void.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from mbps_dataset.sources.class_table import ClassTable, truth_of
from mbps_dataset.sources.frame import Truth
from mbps_dataset.sources.labelled import SPLITS, LabelledFrame, LabelledSource, read_colours


CROWD, IGNORE = 2, 1

BDD100K = ClassTable(
    "BDD100K (bdd100k/label/label.py, panoptic labels)",
    {
        "unlabeled": "unlabeled", "dynamic": "dynamic", "ego vehicle": "ego vehicle", "ground": "ground", "static": "static",
        "parking": "parking", "rail track": "rail track", "road": "road", "sidewalk": "sidewalk", "bridge": "bridge",
        "building": "building", "fence": "fence", "garage": "static", "guard rail": "guard rail", "tunnel": "tunnel",
        "wall": "wall", "banner": "static", "billboard": "static", "lane divider": "static", "parking sign": "static",
        "pole": "pole", "polegroup": "polegroup", "street light": "static", "traffic cone": "static",
        "traffic device": "static", "traffic light": "traffic light", "traffic sign": "traffic sign",
        "traffic sign frame": "static", "terrain": "terrain", "vegetation": "vegetation", "sky": "sky", "person": "person",
        "rider": "rider", "bicycle": "bicycle", "bus": "bus", "car": "car", "caravan": "caravan",
        "motorcycle": "motorcycle", "trailer": "trailer", "train": "train", "truck": "truck",
    },
)  # fmt: skip


class Bdd100kSource(LabelledSource):
    """Images of BDD100K's 10K part at `data_dir`."""

    name = "bdd100k"
    layout = "images/10k/train and labels/pan_seg/bitmasks (BDD100K)"

    def find(self) -> Iterable[tuple[str, LabelledFrame]]:
        for folder in ("train", "val", "test"):
            labels = self.root / "labels" / "pan_seg" / "bitmasks" / folder
            for frame in self.frames_below(self.root / "images" / "10k" / folder, labels):
                yield SPLITS[folder], frame

    def read(self, frame: LabelledFrame) -> Truth:
        assert frame.label_path is not None
        bits = read_colours(frame.label_path, "RGBA").astype(np.int32)
        label_ids = BDD100K.label_ids(bits[..., 0], str(frame.label_path))
        label_ids[bits[..., 1] & IGNORE > 0] = 0
        segments = 256 * bits[..., 2] + bits[..., 3]
        objects = np.where(bits[..., 1] & CROWD, 0, segments + 1)
        return truth_of(label_ids, objects, str(frame.label_path))
