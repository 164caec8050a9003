"""Class tables: the single source of truth for ids, names, colours, things, and the 27 → 19 → 7 reductions.

The rows follow the Cityscapes label definition (Cordts et al., CVPR 2016). Decisions made here:

* the 27-class set is label id − 7 (label ids 7 … 33), as in STEGO, CAUSE and CUPS;
* 27 → 19 keeps the table of the reference pipeline, *not* that of Cityscapes: polegroup → pole, caravan → car,
  trailer → truck; parking, rail track, guard rail, bridge and tunnel → void
  (see ``CAUSE27_TO_TRAIN_ID``). Cityscapes itself sends polegroup, caravan and trailer to void;
* the 7 groups are the Cityscapes categories; a Cityscapes class that is void among the 19 still has a category;
* the 16 classes are the 19 with their ids, of which wall, fence and terrain are not averaged (Waymo has none; CUPS);
* the 2 are person and everything else, void only where Cityscapes labels nothing at all (ids 0-3).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray


VOID = 255
"""Void in 8-bit maps; also the index of the void entry in lookup tables."""


@dataclass(frozen=True)
class CityscapesClass:
    """One row of the Cityscapes label definition.

    `label_id` 0–33 as in ``*_labelIds.png``; `train_id` 0–18 or 255; `category` one of `CATEGORIES` or "void";
    `is_thing` as Cityscapes' ``hasInstances``; `colour` red, green, blue 0–255.
    """

    label_id: int
    name: str
    train_id: int
    category: str
    is_thing: bool
    colour: tuple[int, int, int]


CATEGORIES: tuple[str, ...] = ("flat", "construction", "object", "nature", "sky", "human", "vehicle")

CITYSCAPES: tuple[CityscapesClass, ...] = (
    CityscapesClass(0, "unlabeled", VOID, "void", False, (0, 0, 0)),
    CityscapesClass(1, "ego vehicle", VOID, "void", False, (0, 0, 0)),
    CityscapesClass(2, "rectification border", VOID, "void", False, (0, 0, 0)),
    CityscapesClass(3, "out of roi", VOID, "void", False, (0, 0, 0)),
    CityscapesClass(4, "static", VOID, "void", False, (0, 0, 0)),
    CityscapesClass(5, "dynamic", VOID, "void", False, (111, 74, 0)),
    CityscapesClass(6, "ground", VOID, "void", False, (81, 0, 81)),
    CityscapesClass(7, "road", 0, "flat", False, (128, 64, 128)),
    CityscapesClass(8, "sidewalk", 1, "flat", False, (244, 35, 232)),
    CityscapesClass(9, "parking", VOID, "flat", False, (250, 170, 160)),
    CityscapesClass(10, "rail track", VOID, "flat", False, (230, 150, 140)),
    CityscapesClass(11, "building", 2, "construction", False, (70, 70, 70)),
    CityscapesClass(12, "wall", 3, "construction", False, (102, 102, 156)),
    CityscapesClass(13, "fence", 4, "construction", False, (190, 153, 153)),
    CityscapesClass(14, "guard rail", VOID, "construction", False, (180, 165, 180)),
    CityscapesClass(15, "bridge", VOID, "construction", False, (150, 100, 100)),
    CityscapesClass(16, "tunnel", VOID, "construction", False, (150, 120, 90)),
    CityscapesClass(17, "pole", 5, "object", False, (153, 153, 153)),
    CityscapesClass(18, "polegroup", VOID, "object", False, (153, 153, 153)),
    CityscapesClass(19, "traffic light", 6, "object", False, (250, 170, 30)),
    CityscapesClass(20, "traffic sign", 7, "object", False, (220, 220, 0)),
    CityscapesClass(21, "vegetation", 8, "nature", False, (107, 142, 35)),
    CityscapesClass(22, "terrain", 9, "nature", False, (152, 251, 152)),
    CityscapesClass(23, "sky", 10, "sky", False, (70, 130, 180)),
    CityscapesClass(24, "person", 11, "human", True, (220, 20, 60)),
    CityscapesClass(25, "rider", 12, "human", True, (255, 0, 0)),
    CityscapesClass(26, "car", 13, "vehicle", True, (0, 0, 142)),
    CityscapesClass(27, "truck", 14, "vehicle", True, (0, 0, 70)),
    CityscapesClass(28, "bus", 15, "vehicle", True, (0, 60, 100)),
    CityscapesClass(29, "caravan", VOID, "vehicle", True, (0, 0, 90)),
    CityscapesClass(30, "trailer", VOID, "vehicle", True, (0, 0, 110)),
    CityscapesClass(31, "train", 16, "vehicle", True, (0, 80, 100)),
    CityscapesClass(32, "motorcycle", 17, "vehicle", True, (0, 0, 230)),
    CityscapesClass(33, "bicycle", 18, "vehicle", True, (119, 11, 32)),
)

CLASSES_19: tuple[CityscapesClass, ...] = tuple(
    sorted((c for c in CITYSCAPES if c.train_id != VOID), key=lambda c: c.train_id)
)
CLASSES_27: tuple[CityscapesClass, ...] = tuple(c for c in CITYSCAPES if c.label_id >= 7)

NAMES_19: tuple[str, ...] = tuple(c.name for c in CLASSES_19)
NAMES_27: tuple[str, ...] = tuple(c.name for c in CLASSES_27)

THINGS_19: tuple[int, ...] = tuple(c.train_id for c in CLASSES_19 if c.is_thing)
STUFF_19: tuple[int, ...] = tuple(c.train_id for c in CLASSES_19 if not c.is_thing)
THINGS_27: tuple[int, ...] = tuple(c.label_id - 7 for c in CLASSES_27 if c.is_thing)
STUFF_27: tuple[int, ...] = tuple(c.label_id - 7 for c in CLASSES_27 if not c.is_thing)
THINGS_7: tuple[int, ...] = (5, 6)
STUFF_7: tuple[int, ...] = (0, 1, 2, 3, 4)
NAMES_2: tuple[str, ...] = ("everything else", "person")
THINGS_2: tuple[int, ...] = (1,)
STUFF_2: tuple[int, ...] = (0,)
AVERAGED_16: tuple[int, ...] = tuple(c.train_id for c in CLASSES_19 if c.name not in ("wall", "fence", "terrain"))


def _lookup(pairs: dict[int, int]) -> NDArray[np.uint8]:
    table = np.full(256, VOID, dtype=np.uint8)
    for source, target in pairs.items():
        table[source] = target
    table.setflags(write=False)
    return table


LABEL_ID_OF_NAME: dict[str, int] = {c.name: c.label_id for c in CITYSCAPES}

# Lookup tables of 256 entries, uint8; apply with ``TABLE[map]``. Every id that has no target is void (255).
LABEL_ID_TO_TRAIN_ID = _lookup({c.label_id: c.train_id for c in CITYSCAPES})
LABEL_ID_TO_27 = _lookup({c.label_id: c.label_id - 7 for c in CLASSES_27})
LABEL_ID_TO_7 = _lookup({c.label_id: CATEGORIES.index(c.category) for c in CLASSES_27})
LABEL_ID_TO_2 = _lookup({c.label_id: int(c.name == "person") for c in CITYSCAPES if c.label_id > 3})
TRAIN_ID_TO_LABEL_ID = _lookup({c.train_id: c.label_id for c in CLASSES_19})
TRAIN_ID_TO_7 = _lookup({c.train_id: CATEGORIES.index(c.category) for c in CLASSES_19})
CAUSE27_TO_TRAIN_ID = _lookup({c.label_id - 7: c.train_id for c in CLASSES_27} | {18 - 7: 5, 29 - 7: 13, 30 - 7: 14})
"""The reference pipeline's reduction (spec 2): polegroup → pole, caravan → car, trailer → truck."""


def pseudo_class_palette(count: int) -> NDArray[np.uint8]:
    """`count` colours for classes or objects that have no name: [count, 3] uint8, the same for an id in every set.

    Calm, so that a photograph stays visible below them, and far from each other in CIE Lab (ours): any two of the first
    27 are at least 22 apart, of the first 80 at least 13. They repeat after 256.
    """
    return _calm_colours()[np.arange(count) % 256]


def id_palette(count: int) -> NDArray[np.uint8]:
    """`count` colours for ids from 0, which is black and means none: [count, 3] uint8, the same for an id in every map.

    From 1 they are those of `pseudo_class_palette`; any two ids in a row are at least 11 apart in CIE Lab.
    """
    return np.concatenate([np.zeros((1, 3), np.uint8), pseudo_class_palette(max(count - 1, 0))])[:count]


@cache
def _calm_colours() -> NDArray[np.uint8]:
    """256 colours, each the one farthest from those before it (and from black and white, which mean other things)."""
    colours = np.stack(np.meshgrid(*[np.arange(0, 256, 15)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    places = _cie_lab(colours)
    chroma, lightness = np.hypot(places[:, 1], places[:, 2]), places[:, 0]
    calm = (chroma <= 45) & (lightness >= 35) & (lightness <= 88)
    colours, places = colours[calm], places[calm]
    farthest, taken = np.full(len(colours), np.inf), _cie_lab(np.array([[20, 20, 20], [255, 255, 255]]))
    chosen: list[int] = []
    while len(chosen) < 256:
        for place in taken:
            farthest = np.minimum(farthest, np.linalg.norm(places - place, axis=1))
        chosen.append(int(np.argmax(farthest.round(3))))  # rounded, so that every processor chooses alike
        taken = places[chosen[-1:]]
    return colours[chosen].astype(np.uint8)


def _cie_lab(colours: NDArray[np.integer]) -> NDArray[np.float64]:
    """sRGB 0-255 [N, 3] as CIE L*a*b* under D65 [N, 3] (IEC 61966-2-1, CIE 15)."""
    scaled = colours / 255
    linear = np.where(scaled <= 0.04045, scaled / 12.92, ((scaled + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750],
                       [0.0193339, 0.1191920, 0.9503041]])  # fmt: skip
    xyz = linear @ to_xyz.T / to_xyz.sum(axis=1)
    root = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.stack([116 * root[:, 1] - 16, 500 * (root[:, 0] - root[:, 1]), 200 * (root[:, 1] - root[:, 2])], axis=1)


def class_palette(classes: tuple[CityscapesClass, ...]) -> NDArray[np.uint8]:
    """Colours of a class table in its order: [len(classes), 3] uint8."""
    return np.array([c.colour for c in classes], dtype=np.uint8)
