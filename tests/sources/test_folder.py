"""A folder of photographs."""

from __future__ import annotations

import numpy as np
import pytest

from mbps_dataset.errors import InputError
from mbps_dataset.sources import FolderSource
from tests.sources.trees import PHOTO, save


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


def test_empty_folder(tmp_path):
    with pytest.raises(InputError, match="holds no image; looked for .jpg, .jpeg, .png, .webp"):
        FolderSource(tmp_path)
    with pytest.raises(InputError, match="No split 'validation'"):
        FolderSource(save(tmp_path / "a.png", PHOTO)).frames("validation")
