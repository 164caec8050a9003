"""What belongs to a set, and which file belongs to which image."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mbps_dataset.errors import InputError
from mbps_dataset.sources.membership import FilesOfImages, file_id, find_files, readable


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def found(root: Path, *suffixes: str) -> list[str]:
    files = find_files(root, suffixes or (".png", ".npy"))
    return [path.relative_to(root).as_posix() for path in files.paths]


def test_suffixes_count_in_any_case(tmp_path):
    touch(tmp_path, "a.png", "b.PNG", "c/d.Png", "e.npy", "png", "f.png.txt", "g_Disparity.PNG")
    assert found(tmp_path) == ["a.png", "b.PNG", "c/d.Png", "e.npy", "g_Disparity.PNG"]
    assert found(tmp_path, "_disparity.png") == ["g_Disparity.PNG"]


@pytest.mark.parametrize(
    "name",
    ["._a.png", ".a.png", ".ipynb_checkpoints/a.png", "x/.git/a.png", "__MACOSX/a.png", "x/__MACOSX/x/._a.png",
     "@eaDir/a.png", "$RECYCLE.BIN/a.png", "lost+found/a.png", "System Volume Information/a.png", "...png"],
)  # fmt: skip
def test_what_systems_leave_beside_data_is_no_data(tmp_path, name):
    touch(tmp_path, name, "x/kept.png")
    assert found(tmp_path) == ["x/kept.png"]


def test_a_root_with_a_dot_in_its_path_is_a_set_all_the_same(tmp_path):
    touch(tmp_path, ".cache/photos/a.png")
    assert found(tmp_path / ".cache/photos") == ["a.png"]


def test_links_to_folders_are_followed_once(tmp_path):
    root, outside = touch(tmp_path / "root", "real/a.png"), touch(tmp_path / "outside", "b.png", "deep/c.png")
    (root / "again").symlink_to("real")
    (root / "first").symlink_to(outside)
    (root / "second").symlink_to(outside)
    (root / "third").symlink_to(outside / "deep")
    assert found(root) == ["first/b.png", "first/deep/c.png", "real/a.png"]


@pytest.mark.parametrize("target", [".", "..", "../root", "sub", "sub/.."])
def test_loops_of_links_end_and_add_nothing(tmp_path, target):
    root = touch(tmp_path / "root", "a.png", "sub/b.png")
    touch(tmp_path, "beside.png")
    (root / "loop").symlink_to(target)
    (root / "sub/up").symlink_to(root / target)
    assert found(root) == ["a.png", "sub/b.png"]


def test_two_folders_that_link_to_each_other_end(tmp_path):
    root, outside = touch(tmp_path / "root", "a.png"), touch(tmp_path / "outside", "b.png")
    (root / "out").symlink_to(outside)
    (outside / "back").symlink_to(root)
    (outside / "above").symlink_to(tmp_path)
    assert found(root) == ["a.png", "out/b.png"]


def test_dangling_links_and_special_files_are_listed_not_hidden(tmp_path):
    (tmp_path / "gone.png").symlink_to("/nowhere/at/all.png")
    (tmp_path / "ring.png").symlink_to("ring.png")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    assert found(tmp_path) == ["gone.png", "pipe.png", "ring.png"]


def test_a_folder_that_cannot_be_read_is_an_error(tmp_path, monkeypatch):
    """As root sees it too, who is refused nothing: the refusal is made here."""
    touch(tmp_path, "a.png", "closed/b.png", "open/c.png")
    scandir = os.scandir

    def refuse(folder):
        if Path(folder).name == "closed":
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(InputError, match="1 of its folders cannot be read .*closed: Permission denied.*permissions"):
        find_files(tmp_path, [".png"])


def test_names_that_are_not_utf8_are_told_apart(tmp_path):
    touch(tmp_path, "a.png")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png")).touch()
    files = find_files(tmp_path, [".png"])
    assert [path.name for path in files.paths] == ["a.png"]
    assert [readable(path.name) for path in files.not_utf8] == ["caf\\xe9.png"]
    with pytest.raises(InputError, match=r"caf\\xe9.png: the name of this file is not UTF-8 \(1 such.*rename it"):
        files.named()


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.png", "a"), ("s/a.b.png", "s/a.b"), ("s/a_depth.npy", "s/a"), ("_depth.npy", "_depth"), ("s/_depth.npy", "s/_depth")],
)  # fmt: skip
def test_ids_are_paths_without_suffix_and_ending(name, expected):
    assert file_id(name, ("_depth",)) == expected


def of_images(root: Path, image_ids: list[str], *names: str) -> dict[str, str | None]:
    files = FilesOfImages(image_ids, find_files(touch(root, *names), [".png", ".npy"]), ("_leftImg8bit", "_depth"))
    found = {image_id: files.path(image_id) for image_id in image_ids}
    return {k: None if path is None else path.relative_to(root).as_posix() for k, path in found.items()}


def test_two_sequences_find_their_own_files(tmp_path):
    names = ("s1/0001.npy", "s2/0001_depth.npy", "0001.npy")
    assert of_images(tmp_path, ["s1/0001", "s2/0001", "s3/0001x", "0001"], *names) == {
        "s1/0001": "s1/0001.npy", "s2/0001": "s2/0001_depth.npy", "s3/0001x": None, "0001": "0001.npy",
    }  # fmt: skip


def test_the_bare_name_decides_where_one_file_and_one_image_have_it(tmp_path):
    names = ("flat.npy", "train/aachen/b_leftImg8bit.npy", "c_leftImg8bit.npy")
    ids = ["deep/er/flat", "b", "x/c_leftImg8bit"]
    assert list(of_images(tmp_path, ids, *names).values()) == list(names)


def test_an_image_may_itself_have_an_ending(tmp_path):
    assert of_images(tmp_path, ["a_depth", "a"], "a_depth.npy", "a.npy") == {"a_depth": "a_depth.npy", "a": "a.npy"}


def test_a_bare_name_that_fits_two_images_is_an_error(tmp_path):
    with pytest.raises(InputError, match="0001.npy: fits 2 images by its name alone .s1/0001, s2/0001.; put it into"):
        of_images(tmp_path, ["s1/0001", "s2/0001"], "0001.npy")


def test_a_file_of_another_image_is_not_taken_by_its_name(tmp_path):
    assert of_images(tmp_path, ["s1/0001", "s2/0001"], "s1/0001.npy")["s2/0001"] is None


@pytest.mark.parametrize("names", [("a.npy", "a.png"), ("x/a.npy", "y/a.npy"), ("a_depth.npy", "a_leftImg8bit.npy")])
def test_two_files_of_an_image_are_an_error(tmp_path, names):
    with pytest.raises(InputError, match="a: 2 files fit this image .*; keep one of them"):
        of_images(tmp_path, ["a"], *names)
