from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mbps_dataset.formats.attached_images import AttachedImages
from mbps_dataset.formats.opening import label_rows
from mbps_dataset.formats.writing import export
from tests.formats.label_sets import IDS, photographs, random_label_set


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    return random_label_set(tmp_path_factory.mktemp("set"))


@pytest.fixture(scope="module")
def folder(labels, tmp_path_factory):
    root = tmp_path_factory.mktemp("mmdet")
    export(labels, root / "out", "mmdet", images=AttachedImages(photographs(root / "images")))
    return root / "out"


def configuration(folder: Path) -> dict[str, Any]:
    """What ``mask2former.py`` sets, read as mmengine does."""
    text = (folder / "mask2former.py").read_text().replace("{{ fileDirname }}", str(folder))
    found: dict[str, Any] = {}
    exec(compile(text, "mask2former.py", "exec"), found)
    return found


def test_the_configuration_names_files_that_are_there(folder) -> None:
    found = configuration(folder)
    for name in ("train", "val"):
        dataset = found[f"{name}_dataloader"]["dataset"]
        document = json.loads((folder / dataset["ann_file"]).read_text())
        for image, annotation in zip(document["images"], document["annotations"], strict=True):
            assert (folder / dataset["data_prefix"]["img"] / image["file_name"]).is_file()
            picture = image["file_name"].replace(".jpg", ".png")
            assert picture == annotation["file_name"] and (folder / dataset["data_prefix"]["seg"] / picture).is_file()
    assert (
        Path(found["val_evaluator"][0]["ann_file"]).is_file()
        and Path(found["val_evaluator"][0]["seg_prefix"]).is_dir()
    )
    assert found["test_dataloader"] is None and found["_base_"].startswith("mmdet::mask2former/")


def test_classes_are_counted_and_ordered_as_the_categories(folder) -> None:
    found, metainfo = configuration(folder), configuration(folder)["metainfo"]
    document = json.loads((folder / "annotations/panoptic_train.json").read_text())
    assert metainfo["classes"] == tuple(category["name"] for category in document["categories"])
    assert (
        metainfo["thing_classes"] == metainfo["classes"][:8] and metainfo["stuff_classes"] == metainfo["classes"][8:]
    )
    assert metainfo["palette"] == [tuple(category["color"]) for category in document["categories"]]
    head = found["model"]["panoptic_head"]
    assert (head["num_things_classes"], head["num_stuff_classes"]) == (8, 11)
    assert head["loss_cls"]["class_weight"] == [1.0] * 19 + [0.1]


def test_a_set_without_validation_validates_nothing(labels, tmp_path) -> None:
    images = AttachedImages(photographs(tmp_path / "images"))
    result = export(labels, tmp_path / "out", "mmdet", splits=["train"], images=images)
    assert result.notes == ("there is no validation split, so mask2former.py validates nothing.",)
    found = configuration(tmp_path / "out")
    assert found["val_dataloader"] is None and found["val_evaluator"] is None and found["val_cfg"] is None


def test_mmdetection_reads_it(labels, folder) -> None:
    datasets = pytest.importorskip("mmdet.datasets")
    found = configuration(folder)
    arguments = dict(found["train_dataloader"]["dataset"])
    opened = datasets.CocoPanopticDataset(**arguments, pipeline=[], filter_cfg={})
    rows = list(label_rows(labels, "train"))
    assert len(opened) == len(rows) == len(IDS["train"])
    for number, row in enumerate(rows):
        data = opened.get_data_info(number)
        assert Path(data["img_path"]).is_file() and Path(data["seg_map_path"]).is_file()
        assert len(data["segments_info"]) == len(row.segments) and len(data["instances"]) == len(row.things())
        names = [opened.metainfo["classes"][each["category"]] for each in data["segments_info"]]
        assert names == [labels.calibration.class_names[segment["category_id"]] for segment in row.segments]
