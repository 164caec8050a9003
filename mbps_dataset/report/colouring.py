"""Which colours the classes of a label set wear in pictures, and what those colours say.

Named classes wear Cityscapes' colours. Classes without a name wear the colour of the true class they overlap most, if
truth is at hand, and otherwise one that belongs to their number. The score pairs them with classes in another way (each
class gets one of its own first): that is painted apart, so that a picture never looks better than its number. Colours
never enter a label (ours).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mbps_dataset import taxonomy
from mbps_dataset.arrays import SemanticMap
from mbps_dataset.labelling.calibration import Calibration
from mbps_dataset.resizing import resize_nearest
from mbps_dataset.sources import Truth


UNPAIRED_COLOUR = (225, 225, 225)
"""Of pseudo-classes that scoring pairs with no class, in the picture of what is scored."""


@dataclass(frozen=True)
class Colouring:
    """Colours of K classes: `palette` uint8 [K, 3].

    `overlapped` maps a pseudo-class to the true class it overlaps most, whose colour it wears, and is None where colours
    are not chosen by truth; `scored_as` maps a pseudo-class to the class that scoring paired it with, and is None where
    nothing was scored or classes have names.
    """

    palette: NDArray[np.uint8]
    named: bool
    overlapped: Mapping[int, int] | None = None
    scored_as: Mapping[int, int] | None = None
    class_names: tuple[str, ...] = field(default=())

    def scored_palette(self) -> NDArray[np.uint8]:
        """The colour of the class that each pseudo-class is scored as, light grey for none: uint8 [K, 3]."""
        colours = np.tile(np.array(UNPAIRED_COLOUR, dtype=np.uint8), (len(self.palette), 1))
        table = taxonomy.class_palette(taxonomy.CLASSES_19)
        for pseudo_class, class_id in (self.scored_as or {}).items():
            colours[pseudo_class] = table[class_id]
        return colours

    def in_words(self, class_id: int) -> str:
        """A class with what its colours say: ``pseudo-class 3: looks like road, scored as sidewalk``."""
        said = []
        if self.overlapped is not None:
            said.append(f"looks like {name_19(self.overlapped.get(class_id))}")
        if self.scored_as is not None:
            said.append(f"scored as {name_19(self.scored_as.get(class_id))}")
        name = self.class_names[class_id]
        return f"{name}: {', '.join(said)}" if said else name

    @property
    def titles(self) -> dict[str, str]:
        """What the colours of each kind of picture say, in a few words."""
        if self.named:
            drawn = "colour: its class"
        else:
            drawn = "colour: true class it overlaps most" if self.overlapped is not None else "colour: its number"
        return {"semantic": drawn, "panoptic": drawn, "scored": "colour: class it is paired with",
                "instances": "colour: one for each", "depth": "near is light, far is dark",
                "truth": "Cityscapes' colours"}  # fmt: skip

    @property
    def explanation(self) -> str:
        """What the colours say, in sentences for the page; nothing where classes have names."""
        if self.named:
            return ""
        if self.overlapped is None:
            text = "Pseudo-classes have no names; each wears the colour of its number, the same in every label set."
        else:
            text = ("Pseudo-classes have no names. In semantic and panoptic they wear the colour of the true class they "
                    "overlap most in the images shown, for the eye only.")  # fmt: skip
        if self.scored_as is not None:
            text += (" The score is stricter: it pairs each pseudo-class with one class (class table below); \"scored\" "
                     "paints that, light grey where there is none.")  # fmt: skip
        return text


def name_19(class_id: int | None) -> str:
    """Name of one of the 19 classes; "nothing" for None."""
    return "nothing" if class_id is None else taxonomy.NAMES_19[class_id]


def colouring_of(
    calibration: Calibration,
    shown: Iterable[tuple[SemanticMap, Truth | None]] = (),
    assignment: Mapping[int, int] | None = None,
) -> Colouring:
    """Colours for a label set of which class maps [H, W] are `shown` with their truth, scored by `assignment`."""
    names = calibration.class_names
    if calibration.cluster_to_class is not None:
        return Colouring(calibration.palette(), named=True, class_names=names)
    overlap = np.zeros((len(names), 19), dtype=np.int64)
    for semantic, truth in shown:
        if truth is not None:
            overlap += _overlap(semantic, truth, len(names))
    if not overlap.any():
        return Colouring(calibration.palette(), False, None, assignment, names)
    found = {int(k): int(overlap[k].argmax()) for k in np.flatnonzero(overlap.sum(axis=1))}
    return Colouring(display_palette(overlap), False, found, assignment, names)


def _overlap(semantic: SemanticMap, truth: Truth, classes: int) -> NDArray[np.int64]:
    """Pixels of each pseudo-class in each of the 19 classes: [classes, 19]."""
    target = taxonomy.LABEL_ID_TO_TRAIN_ID[resize_nearest(truth.label_ids, *semantic.shape)]
    valid = (target != taxonomy.VOID) & (semantic < classes)
    keys = semantic[valid].astype(np.int64) * 19 + target[valid]
    return np.bincount(keys, minlength=classes * 19).reshape(classes, 19)


def display_palette(overlap: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Colours for unnamed pseudo-classes from their overlap with true classes: uint8 [K, 3].

    `overlap` int [K, 19] pixel counts. A pseudo-class takes the colour of the class it overlaps most; the second and
    later ones of a class are shaded, so that they stay apart. For display only.
    """
    best = overlap.argmax(axis=1)
    colours = taxonomy.class_palette(taxonomy.CLASSES_19)[best].astype(np.float64)
    for class_id in np.unique(best):
        group = np.flatnonzero(best == class_id)
        for rank, cluster in enumerate(group[np.argsort(-overlap[group].sum(axis=1), kind="stable")]):
            colours[cluster] = colours[cluster] * (1 - 0.14 * min(rank, 4)) + 255 * 0.05 * min(rank, 4)
    colours[overlap.sum(axis=1) == 0] = 128
    return np.clip(colours, 0, 255).astype(np.uint8)
