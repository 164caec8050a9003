"""BDD100K's panoptic bitmasks in their layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mbps_dataset.errors import InputError
from mbps_dataset.sources import open_source
from tests.sources import streets
from tests.sources.trees import PHOTO, save


IDS = {streets.VOID: 0, streets.ROAD: 7, streets.SKY: 30, streets.PERSON: 31, streets.CAR: 35}
MASKS = "labels/pan_seg/bitmasks"


def bitmask(labels: np.ndarray, objects: np.ndarray, crowd: np.ndarray) -> np.ndarray:
    """As bdd100k writes them: stuff has segment numbers too, and groups the attribute crowd beside others."""
    segments = np.where(objects > 0, objects + 255, 1 + labels.astype(np.int32))
    attributes = np.where(crowd, 0b0110, np.where(objects == 1, 0b1000, 0))
    return np.stack([streets.mapped(labels, IDS), attributes, segments >> 8, segments & 255], axis=-1).astype(np.uint8)


def tree(root: Path) -> Path:
    for folder in ("train", "val", "test"):
        save(root / f"images/10k/{folder}/busy.jpg", PHOTO)
        save(root / f"images/10k/{folder}/quiet.jpg", PHOTO)
        if folder != "test":
            save(root / MASKS / folder / "busy.png", bitmask(streets.BUSY, streets.OBJECTS, streets.GROUP))
            nothing = np.zeros(streets.HW, np.int32)
            save(root / MASKS / folder / "quiet.png", bitmask(streets.QUIET, nothing, nothing > 0))
    return root


def test_classes_attributes_and_segments_are_bytes(tmp_path):
    source = open_source("bdd100k", data_dir=tree(tmp_path))
    streets.check(source)
    streets.check(source, "validation")
    assert source.splits() == ("train", "validation", "test") and not source.frames("test")[0].has_truth
    streets.check_missing(source, tmp_path / MASKS / "val/quiet.png", "validation")


def test_segments_to_be_ignored_are_void(tmp_path):
    source = open_source("bdd100k", data_dir=tree(tmp_path))
    mask = bitmask(streets.BUSY, streets.OBJECTS, streets.GROUP)
    mask[streets.OBJECTS == 1, 1] |= 1
    save(tmp_path / MASKS / "train/busy.png", mask)
    truth = source.frames("train")[0].truth()
    assert set(truth.label_ids[streets.OBJECTS == 1].tolist()) == {0}
    assert set(truth.instance_ids[streets.OBJECTS == 1].tolist()) == {0} and truth.instance_ids[20, 40] == 26001


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (lambda mask: mask[..., :3], "busy.png: its pixels are RGB, and labels of this data set are RGBA"),
        (lambda mask: np.where(mask == 35, 41, mask), "busy.png: holds the id 41, which is no class of BDD100K"),
        (lambda mask: mask[:, :40], "busy.png: 40x32, but the image busy is 64x32"),
    ],
)
def test_what_is_no_bitmask_of_the_image_is_refused(tmp_path, changed, message):
    source = open_source("bdd100k", data_dir=tree(tmp_path))
    mask = bitmask(streets.BUSY, streets.OBJECTS, streets.GROUP)
    save(tmp_path / MASKS / "train/busy.png", np.ascontiguousarray(changed(mask)))
    with pytest.raises(InputError, match=message):
        source.frames("train")[0].truth()
