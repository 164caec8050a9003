"""KITTI Panoptic Segmentation in its layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mbps_dataset.errors import InputError
from mbps_dataset.sources import open_source
from tests.sources import streets
from tests.sources.trees import PHOTO, save


def tree(root: Path) -> Path:
    for folder in ("training", "validation"):
        for name, labels, objects in (("busy", streets.BUSY, streets.OBJECTS), ("quiet", streets.QUIET, 0)):
            numbers = np.where(objects > 0, 1000 * labels.astype(np.int32) + objects, labels)
            save(root / folder / "images" / f"{name}.png", PHOTO)
            save(root / folder / "annotations" / f"{name}.png", streets.as_colours(numbers))
    save(root / "testing/images/unseen.png", PHOTO)
    return root


def test_colours_are_instance_ids_of_cityscapes(tmp_path):
    source = open_source("kitti-panoptic", data_dir=tree(tmp_path))
    assert source.splits() == ("train", "validation", "test")
    streets.check(source)
    streets.check(source, "validation")
    assert [frame.truth() for frame in source.frames("test")] == [None]
    streets.check_missing(source, tmp_path / "training/annotations/busy.png")


def test_ids_that_cityscapes_does_not_have_are_refused(tmp_path):
    source = open_source("kitti-panoptic", data_dir=tree(tmp_path))
    save(tmp_path / "training/annotations/quiet.png", streets.as_colours(np.full(streets.HW, 40_001)))
    with pytest.raises(InputError, match="quiet.png: holds the id 40001, which is no instance id of Cityscapes"):
        source.frames("train")[1].truth()
