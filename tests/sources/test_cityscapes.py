"""The Cityscapes tree."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mbps_dataset.errors import InputError
from mbps_dataset.sources import CityscapesSource, open_source
from tests.sources.trees import PHOTO, cityscapes_tree, save


def test_cityscapes_tree(tmp_path):
    source = CityscapesSource(cityscapes_tree(tmp_path))
    assert source.splits() == ("train", "validation") and source.has_truth
    assert [f.image_id for f in source.frames("train")] == ["aachen_000002_000019", "ulm_000001_000019"]
    assert source.frames("val") == source.frames("validation")
    truth = source.frames("val")[0].truth()
    assert truth is not None and (truth.label_ids == 26).all() and (truth.instance_ids == 26001).all()
    assert open_source(**source.describe()).frames("train")[0].digest() == source.frames("train")[0].digest()


def test_cityscapes_companions_are_optional(tmp_path):
    frame = CityscapesSource(cityscapes_tree(tmp_path, truth=False)).frames("train")[0]
    assert frame.truth() is None
    assert frame.right_path() is None and frame.camera_path() is None and frame.neighbour_path(1) is None
    right = save(tmp_path / "rightImg8bit/train/aachen/aachen_000002_000019_rightImg8bit.png", PHOTO)
    following = save(tmp_path / "leftImg8bit_sequence/train/aachen/aachen_000002_000020_leftImg8bit.png", PHOTO)
    assert frame.right_path() == right and frame.neighbour_path(1) == following


def test_missing_images_name_the_path(tmp_path):
    with pytest.raises(InputError, match=f"{tmp_path}/leftImg8bit does not exist"):
        CityscapesSource(tmp_path)
    (tmp_path / "leftImg8bit/train").mkdir(parents=True)
    with pytest.raises(InputError, match="No image matches"):
        CityscapesSource(tmp_path)
    with pytest.raises(InputError, match="No split 'test': .*leftImg8bit/test holds no images"):
        CityscapesSource(cityscapes_tree(tmp_path)).frames("test")


def test_what_systems_leave_in_the_tree_is_no_image(tmp_path):
    root = cityscapes_tree(tmp_path)
    for name in (
        "train/aachen/._aachen_000002_000019",
        "train/.old/ulm_000009_000019",
        "train/__MACOSX/ulm_000008_000019",
    ):
        save(root / f"leftImg8bit/{name}_leftImg8bit.png", PHOTO)
    save(root / "leftImg8bit/train/ulm/ulm_000003_000019_leftImg8bit.PNG", PHOTO)
    found = [frame.image_id for frame in CityscapesSource(root).frames("train")]
    assert found == ["aachen_000002_000019", "ulm_000001_000019", "ulm_000003_000019"]


def test_two_images_of_one_name_are_an_error(tmp_path):
    root = cityscapes_tree(tmp_path)
    save(root / "leftImg8bit/train/ulm/aachen_000002_000019_leftImg8bit.png", PHOTO)
    with pytest.raises(InputError, match="aachen_000002_000019: 2 images have this name .*begin with their city"):
        CityscapesSource(root)


def test_a_name_that_is_not_utf8_is_a_frame_that_says_so(tmp_path):
    root = cityscapes_tree(tmp_path)
    save(Path(os.fsdecode(os.fsencode(root) + b"/leftImg8bit/train/ulm/\xfflm_leftImg8bit.png")), PHOTO)
    frame = CityscapesSource(root).frames("train")[0]
    assert frame.image_id == "\\xfflm"
    with pytest.raises(InputError, match="its name is not UTF-8"):
        frame.digest()
