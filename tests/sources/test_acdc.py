"""ACDC in its layout, with and without panoptic labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mbps_dataset.errors import InputError
from mbps_dataset.sources import open_source
from tests.sources import streets
from tests.sources.trees import PHOTO, save


DRIVE = "fog/train/GOPR0475"


def tree(root: Path, *, panoptic: bool) -> Path:
    for name, labels, objects in (("busy", streets.BUSY, streets.OBJECTS), ("quiet", streets.QUIET, 0)):
        save(root / "rgb_anon" / DRIVE / f"GOPR0475_{name}_rgb_anon.png", PHOTO)
        save(root / "gt" / DRIVE / f"GOPR0475_{name}_gt_labelIds.png", labels)
        if panoptic:
            numbers = np.where(objects > 0, 1000 * labels.astype(np.int32) + objects, labels)
            save(root / "gt_panoptic" / DRIVE / f"GOPR0475_{name}_gt_panoptic.png", streets.as_colours(numbers))
    save(root / "rgb_anon/fog/train_ref/GOPR0475/GOPR0475_clear_rgb_ref_anon.png", PHOTO)
    save(root / "rgb_anon/night/test/GOPR0351/GOPR0351_dark_rgb_anon.png", PHOTO)
    return root


@pytest.mark.parametrize("panoptic", [True, False])
def test_conditions_are_joined_and_reference_images_left_out(tmp_path, panoptic):
    source = open_source("acdc", data_dir=tree(tmp_path, panoptic=panoptic))
    assert source.splits() == ("train", "test")
    assert source.frames("train")[0].image_id == f"{DRIVE}/GOPR0475_busy"
    streets.check(source, objects=panoptic)
    folder, ending = ("gt_panoptic", "panoptic") if panoptic else ("gt", "labelIds")
    streets.check_missing(source, tmp_path / folder / DRIVE / f"GOPR0475_busy_gt_{ending}.png")


def test_maps_of_two_images_are_refused(tmp_path):
    source = open_source("acdc", data_dir=tree(tmp_path, panoptic=True))
    save(tmp_path / "gt" / DRIVE / "GOPR0475_busy_gt_labelIds.png", streets.QUIET)
    with pytest.raises(
        InputError, match="holds the object 26001 where GOPR0475_busy_gt_labelIds.png has the label id 23"
    ):
        source.frames("train")[0].truth()
