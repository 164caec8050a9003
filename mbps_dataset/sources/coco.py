"""Any data set in COCO's panoptic form: COCO itself, ADE20K's and other converted ones, what other tools export.

``annotations/panoptic_{name}.json`` with PNGs in ``annotations/panoptic_{name}/`` and pictures in ``{name}/`` (COCO's own layout);
the JSON may lie beside ``annotations`` too, and pictures in ``images/{name}/``, ``images/`` or beside the JSON. The options `file` and
`images` name one JSON and its folder of pictures where they lie elsewhere below `data_dir`.

Decisions: categories are named as Cityscapes or as COCO does (`COCO`), anything else is an error; the split is what the name of
the JSON says of train, val and test, else "train".
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from mbps_dataset.errors import InputError
from mbps_dataset.sources.coco_segments import Annotation, PanopticFile, read_panoptic_file
from mbps_dataset.sources.frame import Truth
from mbps_dataset.sources.labelled import SPLITS, LabelledFrame, LabelledSource


_STATIC = """
    fire hydrant, stop sign, parking meter, bench, backpack, umbrella, handbag, tie, suitcase, frisbee, skis, snowboard, sports ball,
    kite, baseball bat, baseball glove, skateboard, surfboard, tennis racket, bottle, wine glass, cup, fork, knife, spoon, bowl,
    banana, apple, sandwich, orange, broccoli, carrot, hot dog, pizza, donut, cake, chair, couch, potted plant, bed, dining table,
    toilet, tv, laptop, mouse, remote, keyboard, cell phone, microwave, oven, toaster, sink, refrigerator, book, clock, vase,
    scissors, teddy bear, hair drier, toothbrush, banner, blanket, cardboard, counter, curtain, door-stuff, fruit, light, mirror-stuff,
    net, pillow, shelf, stairs, tent, towel, window-blind, window-other, ceiling-merged, cabinet-merged, table-merged, paper-merged,
    food-other-merged, rug-merged, mountain-merged, rock-merged, roof
"""
_DYNAMIC = "airplane, boat, bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe"
_GROUND = "floor-wood, floor-other-merged, gravel, platform, playingfield, river, sand, sea, snow, water-other"

COCO: dict[str, str] = (
    {name.strip(): "static" for name in _STATIC.split(",")}
    | {name.strip(): "dynamic" for name in _DYNAMIC.split(",")}
    | {name.strip(): "ground" for name in _GROUND.split(",")}
    | {
        "person": "person", "bicycle": "bicycle", "car": "car", "motorcycle": "motorcycle", "bus": "bus", "train": "train",
        "truck": "truck", "traffic light": "traffic light", "bridge": "bridge", "flower": "vegetation", "house": "building",
        "railroad": "rail track", "road": "road", "wall-brick": "wall", "wall-stone": "wall", "wall-tile": "wall",
        "wall-wood": "wall", "wall-other-merged": "wall", "tree-merged": "vegetation", "fence-merged": "fence",
        "sky-other-merged": "sky", "pavement-merged": "sidewalk", "grass-merged": "terrain", "dirt-merged": "terrain",
        "building-other-merged": "building",
    }
)  # fmt: skip
"""Name in Cityscapes of COCO's 133 panoptic categories (panopticapi, panoptic_coco_categories.json)."""


class CocoSource(LabelledSource):
    """Images of COCO panoptic files at `data_dir`; `file` is one JSON and `images` its folder of pictures, both below it."""

    name = "coco"
    layout = "annotations/panoptic_NAME.json and NAME (COCO panoptic), or name them with --source-option file=FILE"

    def __init__(self, data_dir: str | Path, file: str = "", images: str = "") -> None:
        self._given = {key: value for key, value in (("file", file), ("images", images)) if value}
        super().__init__(data_dir)

    def find(self) -> Iterable[tuple[str, LabelledFrame]]:
        self._listed: dict[Path, tuple[PanopticFile, Annotation]] = {}
        places = (self.root / "annotations", self.root)
        every = [path for place in places for path in sorted(place.glob("panoptic_*.json"))]
        for path in [self.root / self._given["file"]] if "file" in self._given else every:
            document = read_panoptic_file(path, COCO)
            found = re.search(r"train|val|test", path.stem)
            pictures = self._pictures(path, document)
            for annotation in document.annotations:
                png = path.with_suffix("") / annotation.png
                self._listed[png] = document, annotation
                name = annotation.picture or Path(annotation.png).with_suffix(".jpg").name
                image_id = Path(name).with_suffix("").as_posix()
                yield SPLITS[found[0]] if found else "train", self.frame(image_id, pictures / name, png)

    def _pictures(self, path: Path, document: PanopticFile) -> Path:
        """The folder that holds the first picture. Raises `InputError` saying where it was looked for."""
        name = path.stem.removeprefix("panoptic_")
        own = [self.root / self._given["images"]] if "images" in self._given else [
            self.root / name, self.root / "images" / name, self.root / "images", self.root, path.parent
        ]  # fmt: skip
        first = document.annotations[0] if document.annotations else Annotation("", "", ())
        picture = first.picture or Path(first.png).with_suffix(".jpg").name
        for folder in own:
            if (folder / picture).is_file():
                return folder
        raise InputError(f"{path}: its picture {picture} is in none of {', '.join(map(str, own))}; name the folder with "
                         "--source-option images=FOLDER.")  # fmt: skip

    def read(self, frame: LabelledFrame) -> Truth:
        assert frame.label_path is not None
        document, annotation = self._listed[frame.label_path]
        return document.truth(annotation, frame.label_path)

    def describe(self) -> dict[str, str]:
        return super().describe() | self._given
