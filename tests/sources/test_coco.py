"""COCO's own layout, and files that lie elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from mbps_dataset import taxonomy
from mbps_dataset.errors import InputError
from mbps_dataset.sources import open_source, read_source_options
from mbps_dataset.sources.coco import COCO
from tests.sources import streets
from tests.sources.test_coco_segments import write
from tests.sources.trees import PHOTO, save


NAMES = {"0001_busy.png": "0001_busy.jpg", "0002_quiet.png": "0002_quiet.jpg"}


def tree(root: Path, annotations: str = "annotations/panoptic_val2017.json", pictures: str = "val2017") -> Path:
    (root / annotations).parent.mkdir(parents=True, exist_ok=True)
    write(root / annotations, NAMES)
    for picture in NAMES.values():
        save(root / pictures / picture, PHOTO)
    return root


@pytest.mark.parametrize(
    ("annotations", "pictures", "options", "split"),
    [
        ("annotations/panoptic_val2017.json", "val2017", {}, "validation"),
        ("annotations/panoptic_train2017.json", "images/train2017", {}, "train"),
        ("panoptic_test.json", "images", {}, "test"),
        ("panoptic_street.json", "", {}, "train"),
        ("other/labels.json", "photos", {"file": "other/labels.json", "images": "photos"}, "train"),
    ],
)
def test_json_and_pictures_are_found(tmp_path, annotations, pictures, options, split):
    source = open_source("coco", data_dir=tree(tmp_path, annotations, pictures), **options)
    assert source.splits() == (split,) and source.frames(split)[0].image_id == "0001_busy"
    streets.check(source, split)
    png = (tmp_path / annotations).with_suffix("") / "0002_quiet.png"
    streets.check_missing(source, png, split)


def test_pictures_that_are_nowhere_are_asked_for(tmp_path):
    tree(tmp_path, pictures="elsewhere")
    with pytest.raises(InputError, match="its picture 0001_busy.jpg is in none of .*source-option images=FOLDER"):
        open_source("coco", data_dir=tmp_path)
    assert read_source_options("coco", ["images=elsewhere"]) == {"images": "elsewhere"}
    assert open_source("coco", data_dir=tmp_path, images="elsewhere").frames("val")


def test_cocos_133_categories_lead_to_cityscapes():
    assert len(COCO) == 133 and set(COCO.values()) <= {c.name for c in taxonomy.CITYSCAPES}
    assert [name for name in COCO if name != name.strip() or not name] == []
    things = {
        name for name, to in COCO.items() if to in ("person", "bicycle", "car", "motorcycle", "bus", "train", "truck")
    }
    assert things == {"person", "bicycle", "car", "motorcycle", "bus", "train", "truck"}
