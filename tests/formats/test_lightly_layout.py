from __future__ import annotations

import json

import numpy as np
import pytest
import yaml

from mbps_dataset.formats.attached_images import AttachedImages
from mbps_dataset.formats.opening import label_rows
from mbps_dataset.formats.writing import export
from tests.formats.label_sets import photographs, random_label_set


IDS = {"train": ("ulm/one", "two.x"), "validation": ("three",)}


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    return random_label_set(tmp_path_factory.mktemp("set"), ids=IDS, classes=40, named=False)


@pytest.fixture(scope="module")
def folder(labels, tmp_path_factory):
    root = tmp_path_factory.mktemp("lightly")
    export(labels, root / "out", "lightly", images=AttachedImages(photographs(root / "images", IDS)))
    return root / "out"


def test_the_data_file_names_folders_that_are_there_and_classes_that_are_not(folder) -> None:
    data = yaml.safe_load((folder / "data.yaml").read_text())
    assert set(data) == {"train", "val", "ignore_classes"}
    seen = set()
    for role in ("train", "val"):
        images, masks = (sorted((folder / data[role][kind]).iterdir()) for kind in ("images", "masks"))
        assert [path.stem for path in images] == [path.stem for path in masks]
        document = json.loads((folder / data[role]["annotations"]).read_text())
        assert sorted(each["file_name"] for each in document["annotations"]) == [path.name for path in masks]
        seen |= {s["category_id"] for each in document["annotations"] for s in each["segments_info"]}
    assert data["ignore_classes"] == sorted(set(range(40)) - seen) != []


def test_a_set_without_validation_is_told_so(labels, tmp_path) -> None:
    images = AttachedImages(photographs(tmp_path / "images", IDS))
    result = export(labels, tmp_path / "out", "lightly", splits=["train"], images=images)
    assert result.notes == (
        "there is no validation split, so `val` of data.yaml is 'train' too: its numbers say how well the training images "
        "are learned.",
    )
    data = yaml.safe_load((tmp_path / "out/data.yaml").read_text())
    assert data["val"] == data["train"] and data["train"]["images"] == "images/train"


def test_lightly_train_reads_it(labels, folder) -> None:
    dataset = pytest.importorskip("lightly_train._data.mask_panoptic_segmentation_dataset")
    data = dataset.MaskPanopticSegmentationDataArgs(**yaml.safe_load((folder / "data.yaml").read_text()))
    data.resolve_data_paths(folder)
    for arguments, split in ((data.get_train_args(), "train"), (data.get_val_args(), "validation")):
        information = sorted(arguments.list_image_info(), key=lambda each: each["mask_filepaths"])
        opened = dataset.MaskPanopticSegmentationDataset(arguments, information)
        rows = {row.image_id.replace("/", "%2F"): row for row in label_rows(labels, split)}
        assert len(information) == len(rows)
        for each in information:
            row = rows[each["mask_filepaths"].rsplit("/", 1)[-1].removesuffix(".png")]
            segments = {segment["id"]: segment for segment in json.loads(each["segments"])}
            ids = dataset.file_helpers.open_mask_numpy(mask_path=dataset.Path(each["mask_filepaths"])).astype(np.int64)
            mask = dataset.torch.from_numpy(ids @ np.array([1, 256, 65536]))
            found = opened.get_binary_masks(mask, segment_id_to_segment=segments, drop_is_crowd=True)
            assert np.array_equal(found["masks"].any(0).numpy(), row.panoptic > 0)
            assert len(found["masks"]) == len(row.segments)
            things = sum(int(label) < len(arguments.thing_classes) for label in found["labels"])
            assert things == len(row.things())
