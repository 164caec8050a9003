"""CamVid (Brostow et al., 2009): five drives at 960x720, classes without objects.

``{train,val,test}/{name}.png`` (or .jpg) with the labels in ``{train,val,test}annot/{name}.png`` (SegNet's tutorial),
``{split}_labels/{name}.png`` or ``{split}_labels/{name}_L.png``. Grey labels hold SegNet's 11 classes, 11 being void; coloured
ones the 32 classes of the original. There are no objects: every pixel of a thing class is a group.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from mbps_dataset.sources.class_table import ClassTable, colours_as_numbers, truth_of
from mbps_dataset.sources.files import read_map
from mbps_dataset.sources.frame import Truth
from mbps_dataset.sources.labelled import SPLITS, LabelledFrame, LabelledSource, images_below, read_colours


CAMVID_11 = ClassTable(
    "CamVid in 11 classes (SegNet's tutorial)",
    {"sky": "sky", "building": "building", "pole": "pole", "road": "road", "pavement": "sidewalk", "tree": "vegetation",
     "sign": "traffic sign", "fence": "fence", "car": "car", "pedestrian": "person", "bicyclist": "rider",
     "void": "unlabeled"},
)  # fmt: skip

_COLOURS_32 = {
    "Animal": (64, 128, 64), "Archway": (192, 0, 128), "Bicyclist": (0, 128, 192), "Bridge": (0, 128, 64),
    "Building": (128, 0, 0), "Car": (64, 0, 128), "CartLuggagePram": (64, 0, 192), "Child": (192, 128, 64),
    "Column_Pole": (192, 192, 128), "Fence": (64, 64, 128), "LaneMkgsDriv": (128, 0, 192), "LaneMkgsNonDriv": (192, 0, 64),
    "Misc_Text": (128, 128, 64), "MotorcycleScooter": (192, 0, 192), "OtherMoving": (128, 64, 64),
    "ParkingBlock": (64, 192, 128), "Pedestrian": (64, 64, 0), "Road": (128, 64, 128), "RoadShoulder": (128, 128, 192),
    "Sidewalk": (0, 0, 192), "SignSymbol": (192, 128, 128), "Sky": (128, 128, 128), "SUVPickupTruck": (64, 128, 192),
    "TrafficCone": (0, 0, 64), "TrafficLight": (0, 64, 64), "Train": (192, 64, 128), "Tree": (128, 128, 0),
    "Truck_Bus": (192, 128, 192), "Tunnel": (64, 0, 64), "VegetationMisc": (192, 192, 0), "Void": (0, 0, 0),
    "Wall": (64, 192, 0),
}  # fmt: skip

CAMVID_32 = ClassTable(
    "CamVid in 32 colours (label_colors.txt)",
    {
        "Animal": "dynamic", "Archway": "building", "Bicyclist": "rider", "Bridge": "bridge", "Building": "building",
        "Car": "car", "CartLuggagePram": "dynamic", "Child": "person", "Column_Pole": "pole", "Fence": "fence",
        "LaneMkgsDriv": "road", "LaneMkgsNonDriv": "ground", "Misc_Text": "static", "MotorcycleScooter": "motorcycle",
        "OtherMoving": "dynamic", "ParkingBlock": "static", "Pedestrian": "person", "Road": "road",
        "RoadShoulder": "ground", "Sidewalk": "sidewalk", "SignSymbol": "traffic sign", "Sky": "sky",
        "SUVPickupTruck": "car", "TrafficCone": "static", "TrafficLight": "traffic light", "Train": "train",
        "Tree": "vegetation", "Truck_Bus": "truck", "Tunnel": "tunnel", "VegetationMisc": "vegetation", "Void": "unlabeled",
        "Wall": "wall",
    },
)  # fmt: skip


class CamVidSource(LabelledSource):
    """Images of CamVid at `data_dir`."""

    name = "camvid"
    layout = "train with trainannot or train_labels (CamVid)"

    def find(self) -> Iterable[tuple[str, LabelledFrame]]:
        for folder in ("train", "val", "test"):
            labels = next((f for f in self._folders(folder) if f.is_dir()), None)
            for image_id, path in images_below(self.root / folder):
                yield SPLITS[folder], self.frame(image_id, path, labels and self._label_of(labels, image_id))

    def _folders(self, split: str) -> Iterable[Path]:
        return self.root / f"{split}annot", self.root / f"{split}_labels"

    def _label_of(self, folder: Path, image_id: str) -> Path:
        coloured = folder / f"{image_id}_L.png"
        return coloured if coloured.is_file() else folder / f"{image_id}.png"

    def read(self, frame: LabelledFrame) -> Truth:
        path = frame.label_path
        assert path is not None
        if path.stem.endswith("_L"):
            return truth_of(CAMVID_32.label_ids(_colour_ids(path), str(path)), None, str(path))
        return truth_of(CAMVID_11.label_ids(read_map(path), str(path)), None, str(path))


def _colour_ids(path: Path) -> np.ndarray:
    """Positions of colours in the table [H, W]; -1 for a colour of no class."""
    colours = colours_as_numbers(read_colours(path, "RGB"))
    known = colours_as_numbers(np.array([list(_COLOURS_32.values())], np.uint8))[0]
    order = np.argsort(known)
    place = np.searchsorted(known[order], colours).clip(max=len(known) - 1)
    return np.where(known[order][place] == colours, order[place], -1)
