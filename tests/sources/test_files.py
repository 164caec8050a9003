"""The Cityscapes tree and the folder of photographs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mbps_dataset.errors import InputError
from mbps_dataset.sources import CityscapesSource, FolderSource, open_source


def save(path: Path, array: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
    return path


PHOTO = np.zeros((32, 64, 3), np.uint8)


def cityscapes_tree(root: Path, *, truth: bool = True) -> Path:
    for split, city, number in (("train", "aachen", 2), ("train", "ulm", 1), ("val", "lindau", 0)):
        stem = f"{city}_00000{number}_000019"
        save(root / "leftImg8bit" / split / city / f"{stem}_leftImg8bit.png", PHOTO)
        if truth:
            labels = np.full((32, 64), 26, np.uint8)
            save(root / "gtFine" / split / city / f"{stem}_gtFine_labelIds.png", labels)
            instances = np.full((32, 64), 26001, np.uint16)
            save(root / "gtFine" / split / city / f"{stem}_gtFine_instanceIds.png", instances)
    return root


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


def test_folder_of_mixed_files(tmp_path):
    for name in ("b.jpg", "a/c d.PNG", "a/ü.webp", "same.png", "same.jpg"):
        save(tmp_path / name, PHOTO)
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / ".hidden.png").write_text("no image")
    (tmp_path / "loop").symlink_to(tmp_path)
    source = FolderSource(tmp_path)
    assert [f.image_id for f in source.frames("train")] == ["a/c d", "a/ü", "b", "same.jpg", "same.png"]
    assert source.splits() == ("train",) and not source.has_truth
    assert not source.licence_allows_images()


def test_one_image_is_a_folder_of_one(tmp_path):
    path = save(tmp_path / "a.png", PHOTO)
    assert [f.image_id for f in FolderSource(path).frames("train")] == ["a"]


def test_folder_truth(tmp_path):
    save(tmp_path / "images/a/b.png", PHOTO)
    save(tmp_path / "images/c.png", PHOTO)
    save(tmp_path / "truth/a/b_labelIds.png", np.full((32, 64), 7, np.uint8))
    source = FolderSource(tmp_path / "images", tmp_path / "truth")
    with_truth, without = source.frames("train")
    truth = with_truth.truth()
    assert truth is not None and (truth.instance_ids == 7).all() and without.truth() is None


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros((16, 64), np.uint8), "64x16, but the image a is 64x32"),
        (np.full((32, 64), 200, np.uint8), "label 200 is not a Cityscapes label id"),
        (np.zeros((32, 64, 3), np.uint8), "a label map has one channel, but this is RGB"),
    ],
)
def test_wrong_label_maps_are_named(tmp_path, labels, message):
    save(tmp_path / "images/a.png", PHOTO)
    path = save(tmp_path / "truth/a.png", labels)
    with pytest.raises(InputError, match=message) as caught:
        FolderSource(tmp_path / "images", tmp_path / "truth").frames("train")[0].truth()
    assert str(path) in str(caught.value)


def test_instance_map_of_another_size_is_named(tmp_path):
    save(tmp_path / "images/a.png", PHOTO)
    save(tmp_path / "truth/a.png", np.zeros((32, 64), np.uint8))
    save(tmp_path / "truth/a_instanceIds.png", np.zeros((32, 60), np.uint16))
    with pytest.raises(InputError, match="a_instanceIds.png: 60x32, but a.png is 64x32"):
        FolderSource(tmp_path / "images", tmp_path / "truth").frames("train")[0].truth()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "mapillary"}, "Unknown source 'mapillary'; known are scenes, cityscapes, folder"),
        ({"name": "folder"}, "needs 'data_dir'"),
        ({"name": "scenes", "data_dir": "/x"}, "takes no 'data_dir'"),
        ({"name": "folder", "data_dir": "/does/not/exist"}, "does not exist"),
        ({"name": "scenes", "train": 0, "validation": 0}, "ask for at least one"),
    ],
)
def test_opening_badly(arguments, message):
    with pytest.raises(InputError, match=message):
        open_source(**arguments)


def test_empty_folder(tmp_path):
    with pytest.raises(InputError, match="holds no image; looked for .jpg, .jpeg, .png, .webp"):
        FolderSource(tmp_path)
    with pytest.raises(InputError, match="No split 'validation'"):
        FolderSource(save(tmp_path / "a.png", PHOTO)).frames("validation")
