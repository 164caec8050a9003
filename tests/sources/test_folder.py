"""A folder of photographs."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from mbps_dataset.errors import InputError
from mbps_dataset.sources import FolderSource
from mbps_dataset.sources.folder import UNREAD_SUFFIXES
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


def test_pictures_of_other_types_are_counted_and_not_labelled(tmp_path):
    save(tmp_path / "a.png", PHOTO)
    for name in ("b.HEIC", "deep/c.heic", "d.tif", ".e.heic", "f.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    source = FolderSource(tmp_path)
    assert [f.image_id for f in source.frames("train")] == ["a"] and source.left_out == {".heic": 2, ".tif": 1}
    assert FolderSource(tmp_path / "a.png").left_out == {}


@pytest.mark.parametrize("suffix", UNREAD_SUFFIXES)
def test_a_folder_of_nothing_but_pictures_of_another_type_says_so(tmp_path, suffix):
    (tmp_path / f"a{suffix}").write_bytes(b"x")
    message = f"holds no image; .* 1 file of other picture types is left out: {suffix}; convert it to JPEG or PNG"
    with pytest.raises(InputError, match=message):
        FolderSource(tmp_path)


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


def test_what_systems_leave_beside_photographs_is_not_labelled(tmp_path):
    for name in (
        "a.JPG",
        ".trash/b.png",
        "__MACOSX/a.png",
        "__MACOSX/._a.JPG",
        "@eaDir/a.png",
        "x/._c.png",
        "x/c.png",
    ):
        save(tmp_path / name, PHOTO)
    assert [frame.image_id for frame in FolderSource(tmp_path).frames("train")] == ["a", "x/c"]


def test_linked_folders_hold_photographs_too(tmp_path):
    save(tmp_path / "photos/a.png", PHOTO)
    save(tmp_path / "disk/b.png", PHOTO)
    (tmp_path / "photos/more").symlink_to(tmp_path / "disk")
    (tmp_path / "photos/again").symlink_to(tmp_path / "disk")
    (tmp_path / "photos/up").symlink_to(tmp_path)
    assert [f.image_id for f in FolderSource(tmp_path / "photos").frames("train")] == ["a", "again/b"]


def labels(value: int) -> np.ndarray:
    return np.full((32, 64), value, np.uint8)


def test_photographs_in_sub_folders_find_their_own_truth(tmp_path):
    for number, name in enumerate(("s1/0001", "s2/0001", "deep/flat", "s3/upper")):
        save(tmp_path / f"images/{name}.png", PHOTO)
        truth = {"deep/flat": "flat_gtFine_labelIds", "s3/upper": "s3/upper"}.get(name, f"{name}_labelIds")
        save(tmp_path / f"truth/{truth}.{'PNG' if name == 's3/upper' else 'png'}", labels(7 + number))
        save(tmp_path / f"truth/{name}_instanceIds.png", labels(26).astype(np.uint16) * 1000)
    frames = {f.image_id: f.truth() for f in FolderSource(tmp_path / "images", tmp_path / "truth").frames("train")}
    values = {image_id: int(truth.label_ids.max()) for image_id, truth in frames.items()}
    assert values == {"s1/0001": 7, "s2/0001": 8, "deep/flat": 9, "s3/upper": 10}
    assert all((truth.instance_ids == 26_000).all() for truth in frames.values())


def test_truth_that_fits_two_photographs_by_its_name_is_an_error(tmp_path):
    for name in ("s1/0001", "s2/0001"):
        save(tmp_path / f"images/{name}.png", PHOTO)
    save(tmp_path / "truth/0001_labelIds.png", labels(7))
    with pytest.raises(InputError, match="0001_labelIds.png: fits 2 images by its name alone"):
        FolderSource(tmp_path / "images", tmp_path / "truth")


def test_label_ids_come_before_another_map_of_the_name(tmp_path):
    save(tmp_path / "a.png", PHOTO)
    save(tmp_path / "truth/a.png", labels(1))
    save(tmp_path / "truth/a_labelIds.png", labels(2))
    truth = FolderSource(tmp_path / "a.png", tmp_path / "truth").frames("train")[0].truth()
    assert truth is not None and (truth.label_ids == 2).all()


def not_utf8(folder: Path, name: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return Path(os.fsdecode(os.fsencode(folder) + b"/" + name))


def test_a_photograph_whose_name_is_not_utf8_is_a_frame_that_says_so(tmp_path):
    save(tmp_path / "a.png", PHOTO)
    save(not_utf8(tmp_path, b"caf\xe9.png"), PHOTO)
    first, second = FolderSource(tmp_path).frames("train")
    assert (first.image_id, second.image_id) == ("a", "caf\\xe9")
    for read in (second.digest, second.image, second.image_bytes):
        with pytest.raises(InputError, match=r"caf\\xe9.png: its name is not UTF-8, which ids must be; rename it"):
            read()


def test_folders_and_truth_whose_name_is_not_utf8_are_refused(tmp_path):
    save(tmp_path / "images/a.png", PHOTO)
    folder = not_utf8(tmp_path, b"\xff")
    save(folder / "a.png", labels(7))
    with pytest.raises(InputError, match=r"\\xff: the name of this folder is not UTF-8; rename it"):
        FolderSource(folder)
    with pytest.raises(InputError, match=r"\\xff: the name of this folder is not UTF-8; rename it"):
        FolderSource(tmp_path / "images", folder)
    save(not_utf8(tmp_path / "truth", b"caf\xe9.png"), labels(7))
    with pytest.raises(InputError, match=r"caf\\xe9.png: the name of this file is not UTF-8 \(1 such.*rename it"):
        FolderSource(tmp_path / "images", tmp_path / "truth")


def test_one_file_that_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="pipe is a pipe, not a regular file"):
        FolderSource(tmp_path / "pipe")
