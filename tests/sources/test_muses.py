"""MUSES in its layout."""

from __future__ import annotations

from pathlib import Path

import pytest

from mbps_dataset.errors import InputError
from mbps_dataset.sources import open_source
from tests.sources import streets
from tests.sources.test_coco_segments import write
from tests.sources.trees import PHOTO, save


def tree(root: Path, before: str = "") -> Path:
    """`before` is what ``file_name`` begins with: nothing, or the split."""
    (root / "gt_panoptic").mkdir(parents=True)
    names = {f"fog/night/REC1_{name}": name for name in ("busy", "quiet")}
    for stem in names:
        save(root / f"frame_camera/train/{stem}_frame_camera.png", PHOTO)
    save(root / "frame_camera/test/rain/day/REC2_unseen_frame_camera.png", PHOTO)
    path = write(root / "gt_panoptic/train.json", {f"{stem}_gt_panoptic.png": "" for stem in names})
    path.write_text(path.read_text().replace('"file_name": "fog', f'"file_name": "{before}fog'))
    return root


@pytest.mark.parametrize("before", ["", "train/"])
def test_weather_and_time_are_part_of_the_id(tmp_path, before):
    source = open_source("muses", data_dir=tree(tmp_path, before))
    assert source.splits() == ("train", "test") and not source.frames("test")[0].has_truth
    assert source.frames("train")[0].image_id == "fog/night/REC1_busy"
    streets.check(source)
    streets.check_missing(source, tmp_path / "gt_panoptic/train/fog/night/REC1_busy_gt_panoptic.png")


def test_an_image_that_the_list_lacks_is_refused(tmp_path):
    source = tree(tmp_path)
    save(source / "frame_camera/train/fog/night/REC1_more_frame_camera.png", PHOTO)
    frames = open_source("muses", data_dir=source).frames("train")
    with pytest.raises(InputError, match="REC1_more_gt_panoptic.png: is not annotated in the .json of its split"):
        frames[1].truth()
