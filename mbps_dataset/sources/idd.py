"""India Driving Dataset, segmentation (Varma et al., WACV 2019), parts I and II.

``leftImg8bit/{train,val,test}/{drive}/{name}_leftImg8bit.png`` (.jpg in part II) and ``gtFine/…/{name}_gtFine_polygons.json`` as
published; where AutoNUE's tool made ``{name}_gtFine_labelids.png`` and ``_instanceids.png`` of them, those are read.

Decisions: polygons are painted one over the other as AutoNUE's and Cityscapes' tools do (Pillow), those marked deleted left
out, and a label that ends in "group" is a group. Autorickshaws, animals, curbs and what else Cityscapes has no class for is
dynamic, static or ground.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mbps_dataset.errors import InputError
from mbps_dataset.reading.image_files import MAX_PIXELS
from mbps_dataset.reading.json_documents import read_json
from mbps_dataset.sources.class_table import ClassTable, truth_of
from mbps_dataset.sources.files import read_map
from mbps_dataset.sources.frame import Truth
from mbps_dataset.sources.labelled import SPLITS, LabelledFrame, LabelledSource, images_below


_IMAGES = ("_leftImg8bit.png", "_leftImg8bit.jpg")
_MOST_BYTES = 50_000_000
_UNLABELLED = 35

IDD = ClassTable(
    "India Driving Dataset (AutoNUE, helpers/anue_labels.py)",
    {
        "road": "road", "parking": "parking", "drivable fallback": "ground", "sidewalk": "sidewalk",
        "rail track": "rail track", "non-drivable fallback": "terrain", "person": "person", "animal": "dynamic",
        "rider": "rider", "motorcycle": "motorcycle", "bicycle": "bicycle", "autorickshaw": "dynamic", "car": "car",
        "truck": "truck", "bus": "bus", "caravan": "caravan", "trailer": "trailer", "train": "train",
        "vehicle fallback": "dynamic", "curb": "ground", "wall": "wall", "fence": "fence", "guard rail": "guard rail",
        "billboard": "static", "traffic sign": "traffic sign", "traffic light": "traffic light", "pole": "pole",
        "polegroup": "polegroup", "obs-str-bar-fallback": "static", "building": "building", "bridge": "bridge",
        "tunnel": "tunnel", "vegetation": "vegetation", "sky": "sky", "fallback background": "static",
        "unlabeled": "unlabeled", "ego vehicle": "ego vehicle", "rectification border": "rectification border",
        "out of roi": "out of roi", "license plate": "unlabeled",
    },
)  # fmt: skip
_ID = {name: number for number, name in enumerate(IDD.classes)}


class IddSource(LabelledSource):
    """Images of the India Driving Dataset at `data_dir`."""

    name = "idd"
    layout = "leftImg8bit/train/DRIVE/X_leftImg8bit.png and gtFine (India Driving Dataset)"

    def find(self) -> Iterable[tuple[str, LabelledFrame]]:
        for folder in ("train", "val", "test"):
            labels = self.root / "gtFine" / folder
            for name, path in images_below(self.root / "leftImg8bit" / folder, _IMAGES):
                stem = name.removesuffix("_leftImg8bit")
                label_path = labels / f"{stem}_gtFine_labelids.png"
                if not label_path.is_file():
                    label_path = labels / f"{stem}_gtFine_polygons.json"
                yield SPLITS[folder], self.frame(stem, path, label_path if labels.is_dir() else None)

    def read(self, frame: LabelledFrame) -> Truth:
        path = frame.label_path
        assert path is not None
        if path.suffix == ".json":
            class_ids, objects = _painted(path)
            return truth_of(IDD.label_ids(class_ids, str(path)), objects, str(path))
        instances = path.with_name(path.name.replace("_labelids", "_instanceids"))
        numbers = read_map(instances).astype(np.int64)
        objects = np.where(numbers >= 1000, numbers % 1000 + 1, 0)
        return truth_of(IDD.label_ids(read_map(path), str(path)), objects, str(instances))


def _painted(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Class ids and numbers of objects [H, W] of a file of polygons. Raises `InputError` naming it."""
    try:
        document = read_json(path, most_bytes=_MOST_BYTES)
        size = int(document["imgWidth"]), int(document["imgHeight"])
        objects = [each for each in document["objects"] if not each.get("deleted")]
        if not 0 < size[0] * size[1] <= MAX_PIXELS:
            raise ValueError(f"{size[0]}x{size[1]} pixels")
        classes, numbers = Image.new("L", size, _UNLABELLED), Image.new("I", size, 0)
        draw_class, draw_number = ImageDraw.Draw(classes), ImageDraw.Draw(numbers)
        for number, each in enumerate(objects):
            polygon = [(float(x), float(y)) for x, y in each["polygon"]]
            class_id, is_group = _class_of(each, path)
            draw_class.polygon(polygon, fill=class_id)
            draw_number.polygon(polygon, fill=0 if is_group else number + 1)
    except InputError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: cannot be read as polygons ({error}); copy it again.") from None
    return np.asarray(classes), np.asarray(numbers, np.int32)


def _class_of(entry: Mapping[str, Any], path: Path) -> tuple[int, bool]:
    label = str(entry["label"])
    is_group = label not in _ID and label.endswith("group")
    name = label.removesuffix("group") if is_group else label
    if name not in _ID:
        raise InputError(f"{path}: has the label {label!r}, which is no class of {IDD.origin}; correct it.")
    return _ID[name], is_group
