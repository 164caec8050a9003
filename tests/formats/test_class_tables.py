"""Names and ids that the class tables know."""

from __future__ import annotations

import numpy as np
import pytest

from mbps_dataset import taxonomy
from mbps_dataset.errors import InputError
from mbps_dataset.formats.class_tables import (
    class_ids_by_name,
    class_names,
    mapped_ids,
    named_classes,
    require_classes,
)


def test_tables() -> None:
    assert (
        class_names(19) == taxonomy.NAMES_19 and class_names(7) == taxonomy.CATEGORIES and len(class_names(27)) == 27
    )
    with pytest.raises(InputError, match="not for 5"):
        class_names(5)


@pytest.mark.parametrize(
    ("classes", "name", "class_id"),
    [(19, "sky", 10), (19, "parking", 255), (19, "ego vehicle", 255), (19, "license plate", 255), (27, "parking", 2),
     (7, "parking", 0), (7, "flat", 0), (7, "sky", 4), (7, "static", 255)],
)  # fmt: skip
def test_names_of_cityscapes_are_classes_or_void_by_its_definition(classes: int, name: str, class_id: int) -> None:
    assert class_ids_by_name(classes)[name] == class_id
    assert named_classes({5: name}, classes, "x") == {5: class_id}


@pytest.mark.parametrize(("name", "alike"), [("Sky", "sky"), ("traffic  light", "traffic light"), ("caar", "car")])
def test_other_names_are_an_error_that_says_what_may_be_meant(name: str, alike: str) -> None:
    with pytest.raises(
        InputError, match=rf"x\.json: no class .* category 3 {name!r} \('{alike}'\?\); name categories"
    ):
        named_classes({1: "road", 3: name}, 19, "x.json")
    with pytest.raises(InputError, match="1 'c1', 2 'c2', 3 'c3', 4 'c4', 5 'c5' and 2 more"):
        named_classes({k: f"c{k}" for k in range(1, 8)}, 19, "x.json")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.int64])
def test_other_ids_are_an_error(dtype: type) -> None:
    require_classes(np.array([[0, 18, 255]], dtype), 19, "a.png")
    require_classes(np.zeros((0, 4), dtype), 19, "a.png")
    with pytest.raises(
        InputError, match=r"a\.png: 19, 254 are no ids of the 19 classes \(0-18, void 255\); give class ids"
    ):
        require_classes(np.array([[0, 19, 254]], dtype), 19, "a.png")
    if np.dtype(dtype).kind == "i":
        with pytest.raises(InputError, match="-1 is no id of the 7 classes"):
            require_classes(np.array([[-1]], dtype), 7, "a.png")


def test_ids_are_mapped_one_by_one() -> None:
    assert mapped_ids(np.array([[7, 0], [8, 7]], np.uint8), {7: 0, 8: 300, 0: 65_535}, "x").tolist() == [
        [0, 65_535],
        [300, 0],
    ]
    with pytest.raises(InputError, match="x: holds 9, of which mbps_export.json knows no class"):
        mapped_ids(np.array([[7, 9]]), {7: 0}, "x")
