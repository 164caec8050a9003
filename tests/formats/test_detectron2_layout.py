from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mbps_dataset.errors import InputError
from mbps_dataset.formats.attached_images import AttachedImages
from mbps_dataset.formats.detectron2_layout import run_lengths
from mbps_dataset.formats.opening import label_rows
from mbps_dataset.formats.writing import export
from tests.formats.label_sets import IDS, photographs, random_label_set


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    return random_label_set(tmp_path_factory.mktemp("set"))


@pytest.fixture(scope="module")
def folder(labels, tmp_path_factory):
    root = tmp_path_factory.mktemp("detectron2")
    export(labels, root / "out", "detectron2", images=AttachedImages(photographs(root / "images")))
    return root / "out"


def registered(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[Any, ...]]:
    """What the script registers, by name."""
    calls: dict[str, tuple[Any, ...]] = {}
    for name in ("detectron2", "detectron2.data", "detectron2.data.datasets"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    sys.modules["detectron2.data.datasets"].register_coco_panoptic_separated = (  # type: ignore[attr-defined]
        lambda name, *arguments: calls.update({name: arguments})
    )
    runpy.run_path(str(folder / "register_with_detectron2.py"))
    return calls


def test_the_script_registers_what_is_there_with_names_and_colours(folder, labels, monkeypatch) -> None:
    found = registered(folder, monkeypatch)
    assert set(found) == {"mbps_train", "mbps_val"}
    metadata, *paths = found["mbps_train"]
    assert all(Path(path).exists() for path in paths)
    names, things = labels.calibration.class_names, sorted(labels.calibration.things)
    stuff = [k for k in range(19) if k not in things]
    assert metadata["thing_classes"] == [names[k] for k in things]
    assert metadata["stuff_classes"] == ["things", *(names[k] for k in stuff)]
    assert metadata["thing_dataset_id_to_contiguous_id"] == {k: place for place, k in enumerate(things)}
    assert metadata["stuff_dataset_id_to_contiguous_id"] == {k: place for place, k in enumerate(stuff, start=1)}
    assert len(metadata["stuff_colors"]) == 12 and len(metadata["thing_colors"]) == 8
    text = (folder / "register_with_detectron2.py").read_text()
    assert "ROI_HEADS.NUM_CLASSES = 8" in text and "SEM_SEG_HEAD.NUM_CLASSES = 12" in text


def test_maps_of_stuff_and_masks_of_things_are_those_of_the_rows(folder, labels) -> None:
    coco = pytest.importorskip("pycocotools.coco").COCO(str(folder / "annotations/instances_train.json"))
    assert [category["id"] for category in coco.loadCats(coco.getCatIds())] == sorted(labels.calibration.things)
    stuff = [k for k in range(19) if k not in labels.calibration.things]
    for number, row in enumerate(label_rows(labels, "train"), start=1):
        image = coco.loadImgs([number])[0]
        values = np.asarray(Image.open(folder / "panoptic_stuff_train" / image["file_name"].replace(".jpg", ".png")))
        assert np.array_equal(values == 255, row.panoptic == 0)
        annotations = coco.loadAnns(coco.getAnnIds(imgIds=[number]))
        assert len(annotations) == len(row.things())
        for annotation, segment in zip(annotations, row.things(), strict=True):
            mask = coco.annToMask(annotation).astype(bool)
            assert np.array_equal(mask, row.panoptic == segment["id"]) and not values[mask].any()
            assert annotation["bbox"] == list(segment["bbox"]) and annotation["category_id"] == segment["category_id"]
        for segment in row.segments:
            if not segment["isthing"]:
                assert (values[row.panoptic == segment["id"]] == 1 + stuff.index(segment["category_id"])).all()


def test_annotations_are_numbered_once_and_images_without_things_are_listed(tmp_path) -> None:
    bare = random_label_set(tmp_path / "set", classes=3, named=False, things=(0,), seed=1)
    export(bare, tmp_path / "out", "detectron2", images=AttachedImages(photographs(tmp_path / "images")))
    document = json.loads((tmp_path / "out/annotations/instances_train.json").read_text())
    assert [each["id"] for each in document["annotations"]] == list(range(1, len(document["annotations"]) + 1))
    assert len(document["images"]) == len(IDS["train"]) and document["categories"][0]["id"] == 0
    assert all(path.suffix == ".jpg" for path in (tmp_path / "out/images/train").iterdir())


@pytest.mark.parametrize(
    ("mask", "counts"),
    [
        ([[0, 1], [0, 1], [1, 0]], [2, 3, 1]), ([[1, 1], [1, 1]], [0, 4]), ([[0, 0]], [2]), ([[1, 0], [0, 0]], [0, 1, 3])
    ],
)  # fmt: skip
def test_run_lengths_go_down_the_columns_and_begin_outside(mask: list[list[int]], counts: list[int]) -> None:
    found = run_lengths(np.array(mask, dtype=bool))
    assert found == {"size": [len(mask), len(mask[0])], "counts": counts}


def test_more_classes_than_the_map_holds_are_refused(tmp_path) -> None:
    many = random_label_set(tmp_path / "set", classes=300, named=False, things=(0,))
    images = AttachedImages(photographs(tmp_path / "images"))
    with pytest.raises(
        InputError, match="detectron2's maps of stuff hold at most 254 classes, but the label set has 299"
    ):
        export(many, tmp_path / "out", "detectron2", images=images)


def test_detectron2_reads_it(folder, labels) -> None:
    data = pytest.importorskip("detectron2.data")
    runpy.run_path(str(folder / "register_with_detectron2.py"))
    found = data.DatasetCatalog.get("mbps_train_separated")
    rows = list(label_rows(labels, "train"))
    assert [len(each["annotations"]) for each in found] == [len(row.things()) for row in rows]
    assert all(Path(each["file_name"]).is_file() and Path(each["sem_seg_file_name"]).is_file() for each in found)
