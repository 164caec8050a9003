"""Data sets of the Hub, here as folders on the disk, which `datasets` opens alike."""

from __future__ import annotations

import io
from pathlib import Path

import datasets
import numpy as np
import pytest
from PIL import Image

from mbps_dataset import taxonomy
from mbps_dataset.errors import InputError
from mbps_dataset.sources import open_source, read_source_options
from mbps_dataset.sources.hub import Rows
from tests.sources import streets
from tests.sources.trees import PHOTO


def encoded(array: np.ndarray) -> dict:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return {"bytes": buffer.getvalue(), "path": None}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Parquet files of a split each, as a data set on the Hub has them; the cache beside it."""
    root = tmp_path_factory.mktemp("hub")
    for split in ("train", "validation"):
        rows = {"photo": [], "classes": [], "train_ids": [], "objects": [], "name": [], "drive": []}
        for name, labels, objects in (
            ("quiet", streets.QUIET, 0 * streets.OBJECTS),
            ("busy", streets.BUSY, streets.OBJECTS),
        ):
            rows["photo"].append(encoded(PHOTO + np.uint8(len(name))))
            rows["classes"].append(encoded(labels))
            rows["train_ids"].append(encoded(taxonomy.LABEL_ID_TO_TRAIN_ID[labels]))
            rows["objects"].append(encoded(objects.astype(np.uint8)))
            rows["name"].append(name)
            rows["drive"].append("a")
        features = datasets.Features(
            {c: datasets.Image() for c in list(rows)[:4]} | dict.fromkeys(["name", "drive"], datasets.Value("string"))
        )
        (root / "data").mkdir(exist_ok=True)
        datasets.Dataset.from_dict(rows, features).to_parquet(root / f"data/{split}-00000-of-00001.parquet")
    return root


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


COLUMNS = {"image": "photo", "label": "classes", "instance": "objects", "id": "name"}


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("label", ["classes", "train_ids"])
def test_columns_are_named_and_rows_read_when_asked_for(folder, streaming, label):
    classes = {"classes": "train-ids"} if label == "train_ids" else {}
    source = open_source("hub", data_dir=folder, **COLUMNS | {"label": label}, **classes, streaming=streaming)
    assert source.splits() == ("train", "validation")
    streets.check(source)
    streets.check(source, "val")
    busy, quiet = source.frames("train")
    assert quiet.image()[0, 0, 0] == 5 and busy.image()[0, 0, 0] == 4 and busy.digest() != quiet.digest()


@pytest.mark.parametrize("streaming", [False, True])
def test_images_without_names_are_numbered_and_without_labels_have_no_truth(folder, streaming):
    source = open_source("hub", data_dir=folder, image="photo", streaming=streaming)
    frames = source.frames("train")
    assert [frame.image_id for frame in frames] == ["00000000", "00000001"] and not source.has_truth
    assert [frame.image()[0, 0, 0] for frame in (*frames, *frames)] == [5, 4, 5, 4] and frames[0].truth() is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "has no column 'image' in train; there is photo, classes, train_ids, objects, name, drive. Name columns"),
        (
            {"image": "photo", "classes": "mine"},
            "classes is 'mine'; the classes of a label column are label-ids or train-ids",
        ),
        ({"image": "photo", "instance": "objects"}, "give label too"),
        ({"data_dir": "nobody/here-of-that-name"}, "`datasets` cannot open it"),
    ],
)
def test_what_cannot_be_opened_is_said(folder, options, message, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match=message):
        open_source("hub", **{"data_dir": folder} | options)


def test_a_label_of_other_ids_and_a_name_given_twice_are_refused(folder):
    source = open_source("hub", data_dir=folder, **COLUMNS | {"label": "objects"}, classes="train-ids")
    assert source.frames("train")[1].truth().label_ids.max() == 7
    wrong = open_source("hub", data_dir=folder, **COLUMNS, classes="train-ids")
    with pytest.raises(InputError, match="quiet: holds the id 23, which is no class of Cityscapes' train ids"):
        wrong.frames("train")[1].truth()
    with pytest.raises(InputError, match="its column 'drive' names two images of train alike"):
        open_source("hub", data_dir=folder, image="photo", id="drive")
    assert read_source_options("hub", ["image=photo", "streaming=true"]) == {"image": "photo", "streaming": True}


def test_a_stream_that_ends_too_early_is_one_line():
    rows = Rows([{"image": 1}, {"image": 2}], streaming=True)
    assert rows[1] == {"image": 2} and rows[0] == {"image": 1}
    with pytest.raises(InputError, match="ended at row 2, before row 3 that was listed"):
        rows[3]
