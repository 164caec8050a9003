"""The Cityscapes tree."""

from __future__ import annotations

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
