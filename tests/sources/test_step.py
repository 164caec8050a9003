"""KITTI-STEP and MOTChallenge-STEP in the folders of DeepLab2."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mbps_dataset.sources import open_source
from tests.sources import streets
from tests.sources.trees import PHOTO, save


KITTI = {streets.VOID: 255, streets.ROAD: 0, streets.SKY: 10, streets.PERSON: 11, streets.CAR: 13}
CHALLENGE = {streets.VOID: 255, streets.ROAD: 0, streets.SKY: 3, streets.PERSON: 4, streets.CAR: 6}


def tree(root: Path, ids: dict[int, int]) -> Path:
    for name, labels, objects in (
        ("busy", streets.BUSY, streets.OBJECTS),
        ("quiet", streets.QUIET, 0 * streets.OBJECTS),
    ):
        numbers = np.where(objects > 0, objects + 300, 0)  # more than one byte
        colours = np.stack([streets.mapped(labels, ids), numbers >> 8, numbers & 255], axis=-1).astype(np.uint8)
        save(root / "images/train/0003" / f"{name}.png", PHOTO)
        save(root / "panoptic_maps/train/0003" / f"{name}.png", colours)
    for number in (7, 8, 10):
        save(root / f"images/test/0001/{number:06d}.png", PHOTO)
    return root


@pytest.mark.parametrize(
    ("name", "ids", "instead"),
    [
        ("kitti-step", KITTI, {}),
        (
            "motchallenge-step",
            CHALLENGE,
            {streets.ROAD: 8, streets.CAR: 33},
        ),  # it has sidewalk and bicycle in their place
    ],
)
def test_red_is_the_class_and_the_others_the_object(tmp_path, name, ids, instead):
    source = open_source(name, data_dir=tree(tmp_path, ids))
    if not instead:
        streets.check(source)
    truth = source.frames("train")[0].truth()
    expected = streets.mapped(streets.BUSY, {label: instead.get(label, label) for label in ids})
    assert np.array_equal(truth.label_ids, expected)
    assert np.array_equal(truth.instance_ids[20, 40], 1000 * int(expected[20, 40]) + 2)
    streets.check_missing(source, tmp_path / "panoptic_maps/train/0003/busy.png")


def test_frames_follow_each_other(tmp_path):
    source = open_source("kitti-step", data_dir=tree(tmp_path, KITTI))
    first, second, last = source.frames("test")
    assert first.image_id == "0001/000007" and first.next_frame() == second and second.next_frame() is None
    assert first.has().next_frame and not second.has().next_frame and last.truth() is None
