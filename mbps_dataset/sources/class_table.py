"""Which class of a data set is which class of Cityscapes: the one step from its ids to 27, 19, 16, 7 or 2 classes.

Every table says for all ids of its data set, as published, what they are among Cityscapes' 34; the tables of
`mbps_dataset.taxonomy` lead on from there. Decisions (ours):

* what Cityscapes has no class for is "static", "dynamic" or "ground", as its own definition has it, so it is void among 27, 19
  and 7 classes, and among 2 (person and everything else) it is everything else;
* only what the data set itself leaves out (unlabelled, ego vehicle, ignored) is "unlabeled", which is void everywhere;
* an id that the table does not list is an error that names the file, never void.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mbps_dataset import taxonomy
from mbps_dataset.errors import InputError
from mbps_dataset.sources.frame import Truth


_THINGS = np.isin(np.arange(256), [c.label_id for c in taxonomy.CITYSCAPES if c.is_thing])
_UNKNOWN = 255
_MOST_OBJECTS = 999
"""Objects of a class in an image: Cityscapes' encoding numbers them within a thousand."""


@dataclass(frozen=True)
class ClassTable:
    """Classes of a data set by id. `origin` names the publication that numbers them, `classes` their names in the order of
    `ids` with the name of each in Cityscapes; `ids` None counts from 0.

    >>> table = ClassTable("a page", {"tarmac": "road", "auto": "car"}, ids=(1, 7))
    >>> table.label_ids(np.array([[1, 7]]), "a.png").tolist()
    [[7, 26]]
    """

    origin: str
    classes: Mapping[str, str]
    ids: Sequence[int] | None = None
    _table: NDArray[np.uint8] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        ids = tuple(range(len(self.classes)) if self.ids is None else self.ids)
        table = np.full(max(ids, default=0) + 1, _UNKNOWN, np.uint8)
        for class_id, name in zip(ids, self.classes.values(), strict=True):
            table[class_id] = taxonomy.LABEL_ID_OF_NAME[name]
        object.__setattr__(self, "_table", table)

    def label_ids(self, class_ids: NDArray[np.integer], where: str) -> NDArray[np.uint8]:
        """Cityscapes' label ids [H, W] of a map of the data set's ids. Raises `InputError`, which begins with `where`, for
        an id that it does not have."""
        inside = (class_ids >= 0) & (class_ids < len(self._table))
        found = self._table[np.where(inside, class_ids, 0)]
        if (strange := ~inside | (found == _UNKNOWN)).any():
            raise InputError(
                f"{where}: holds the id {int(class_ids[strange][0])}, which is no class of {self.origin}; give the label "
                "maps as they are published."
            )
        return found


def truth_of(label_ids: NDArray[np.uint8], objects: NDArray[np.integer] | None, where: str) -> Truth:
    """Ground truth from label ids [H, W] and numbers of objects [H, W], 0 = none, in which one number may serve two classes.

    Numbers on stuff mean nothing and are dropped; pixels of a thing class without a number are a group of it, which the
    convention in use ignores or counts. Raises `InputError`, which begins with `where`, for more objects of a class than
    Cityscapes' encoding holds, and for maps of two sizes.
    """
    instance_ids = label_ids.astype(np.int32)
    if objects is None:
        return Truth(label_ids, instance_ids)
    if objects.shape != label_ids.shape:
        raise InputError(f"{where}: its objects are {objects.shape} pixels and its classes {label_ids.shape} (height, width); "
                         "give both in one size.")  # fmt: skip
    is_object = (objects > 0) & _THINGS[label_ids]
    pairs = label_ids[is_object].astype(np.int64) << 32 | objects[is_object].astype(np.int64)
    present, which = np.unique(pairs, return_inverse=True)
    classes = present >> 32
    first = np.searchsorted(classes, classes)
    numbers = np.arange(len(classes)) - first + 1
    if numbers.max(initial=0) > _MOST_OBJECTS:
        crowded = taxonomy.CITYSCAPES[int(classes[numbers.argmax()])].name
        raise InputError(f"{where}: {numbers.max()} objects of the class {crowded!r}, and {_MOST_OBJECTS} is the most; is this a "
                         "map of objects?")  # fmt: skip
    instance_ids[is_object] = (classes * 1000 + numbers)[which.ravel()]
    return Truth(label_ids, instance_ids)


def colours_as_numbers(colours: NDArray[np.uint8]) -> NDArray[np.int64]:
    """``R + 256 G + 65536 B`` of a picture [H, W, 3 or 4]: how COCO writes segment ids, int64 [H, W]."""
    red, green, blue = (colours[..., channel].astype(np.int64) for channel in range(3))
    return red + (green << 8) + (blue << 16)
