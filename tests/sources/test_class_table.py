"""Tables of classes: complete as published, and leading to every set of classes that scores use."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest

from mbps_dataset import taxonomy
from mbps_dataset.errors import InputError
from mbps_dataset.sources.class_table import ClassTable, truth_of


TABLES = {  # where it is, how many classes are published, and which of the 19 it does not tell apart or have
    "bdd100k:BDD100K": (41, ()),
    "camvid:CAMVID_11": (12, ("wall", "traffic light", "terrain", "truck", "bus", "train", "motorcycle", "bicycle")),
    "camvid:CAMVID_32": (32, ("terrain", "bus", "bicycle")),
    "idd:IDD": (40, ()),
    "mots:MOTS": (4, tuple(name for name in taxonomy.NAMES_19 if name not in ("person", "car"))),
    "step:KITTI_STEP": (20, ()),
    "step:MOTCHALLENGE_STEP": (8, ("road", "wall", "fence", "pole", "traffic light", "traffic sign", "terrain", "car", "truck",
                                   "bus", "train", "motorcycle")),
    "waymo:WAYMO": (29, ("wall", "fence", "terrain", "train")),
}  # fmt: skip


def table(place: str) -> ClassTable:
    module, name = place.split(":")
    found = getattr(import_module(f"mbps_dataset.sources.{module}"), name)
    assert isinstance(found, ClassTable)
    return found


@pytest.mark.parametrize("place", TABLES)
def test_tables_are_complete(place):
    found, (count, absent) = table(place), TABLES[place]
    ids = np.array([range(len(found.classes)) if found.ids is None else found.ids])
    assert len(found.classes) == count == ids.size and found.origin
    label_ids = found.label_ids(ids, "ids")
    reached = taxonomy.LABEL_ID_TO_TRAIN_ID[label_ids]
    assert set(taxonomy.NAMES_19) - {taxonomy.NAMES_19[k] for k in reached[reached != 255].tolist()} == set(absent)
    for name, label_id in zip(found.classes, label_ids[0].tolist()):
        same = [c for c in taxonomy.CITYSCAPES if c.name == name.lower()]
        assert not same or same[0].label_id == label_id, f"{name} is a class of Cityscapes, but another is named"


def test_an_id_that_is_not_listed_is_refused():
    found = ClassTable("a page", {"tarmac": "road"}, ids=(3,))
    for strange in (0, 4, -1, 300):
        with pytest.raises(InputError, match=f"a.png: holds the id {strange}, which is no class of a page"):
            found.label_ids(np.array([[3, strange]]), "a.png")


def test_names_that_cityscapes_does_not_have_are_a_mistake_of_the_table():
    with pytest.raises(KeyError):
        ClassTable("a page", {"tarmac": "tarmac"})
    with pytest.raises(ValueError):
        ClassTable("a page", {"tarmac": "road"}, ids=(1, 2))


def test_objects_are_numbered_within_their_class_and_dropped_on_stuff():
    label_ids = np.array([[26, 26, 24, 24, 7, 26]], np.uint8)
    found = truth_of(label_ids, np.array([[70000, 5, 5, 0, 9, 70000]]), "a.png")
    assert found.instance_ids.tolist() == [[26002, 26001, 24001, 24, 7, 26002]]
    assert truth_of(label_ids, None, "a.png").instance_ids.tolist() == label_ids.tolist()


def test_more_objects_than_the_encoding_holds_are_refused():
    cars = np.full((40, 40), 26, np.uint8)
    assert truth_of(cars, np.arange(1600).reshape(40, 40).clip(max=999), "a.png").instance_ids.max() == 26999
    with pytest.raises(InputError, match="a.png: 1599 objects of the class 'car', and 999 is the most"):
        truth_of(cars, np.arange(1600).reshape(40, 40), "a.png")
    with pytest.raises(InputError, match=r"a.png: its objects are \(2, 2\) pixels and its classes \(40, 40\)"):
        truth_of(cars, np.zeros((2, 2), int), "a.png")
