"""KITTI-STEP and MOTChallenge-STEP (Weber et al., 2021), in the folders of DeepLab2.

``images/{train,val,test}/{sequence}/{frame}`` and ``panoptic_maps/{train,val}/{sequence}/{frame}.png``, whose red is the class
and ``256 G + B`` the object, 0 being none. Objects are numbered of persons and cars alone (KITTI-STEP), or of persons
(MOTChallenge-STEP): all other things are groups. Class 255 is void.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from mbps_dataset import taxonomy
from mbps_dataset.sources.class_table import ClassTable, truth_of
from mbps_dataset.sources.frame import Truth
from mbps_dataset.sources.labelled import SPLITS, LabelledFrame, LabelledSource, read_colours


_VOID = 255

KITTI_STEP = ClassTable(
    "KITTI-STEP (DeepLab2, g3doc/setup/kitti_step.md)",
    {name: name for name in taxonomy.NAMES_19} | {"void": "unlabeled"},
    ids=(*range(19), _VOID),
)
MOTCHALLENGE_STEP = ClassTable(
    "MOTChallenge-STEP (DeepLab2, g3doc/setup/motchallenge_step.md)",
    {name: name for name in ("sidewalk", "building", "vegetation", "sky", "person", "rider", "bicycle")}
    | {"void": "unlabeled"},
    ids=(*range(7), _VOID),
)


class KittiStepSource(LabelledSource):
    """Frames of KITTI-STEP at `data_dir`."""

    name = "kitti-step"
    layout = "images/train/SEQUENCE/FRAME.png and panoptic_maps (STEP in the folders of DeepLab2)"
    table = KITTI_STEP
    video = True

    def find(self) -> Iterable[tuple[str, LabelledFrame]]:
        for folder in ("train", "val", "test"):
            for frame in self.frames_below(self.root / "images" / folder, self.root / "panoptic_maps" / folder):
                yield SPLITS[folder], frame

    def read(self, frame: LabelledFrame) -> Truth:
        assert frame.label_path is not None
        colours = read_colours(frame.label_path, "RGB").astype(np.int32)
        label_ids = self.table.label_ids(colours[..., 0], str(frame.label_path))
        return truth_of(label_ids, 256 * colours[..., 1] + colours[..., 2], str(frame.label_path))


class MotChallengeStepSource(KittiStepSource):
    """Frames of MOTChallenge-STEP at `data_dir`."""

    name = "motchallenge-step"
    table = MOTCHALLENGE_STEP
