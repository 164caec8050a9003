"""Which label set is meant."""

from __future__ import annotations

import shutil

import pytest

from mbps_dataset.errors import InputError
from mbps_dataset.formats.opening import label_rows, open_label_set
from tests.formats.label_sets import random_label_set


def released(built, folder):
    """The layout of a release: Parquet files beside labelset.json."""
    folder.mkdir(parents=True)
    shutil.copy(built.root / "labelset.json", folder)
    for path in (built.root / "data").iterdir():
        shutil.copy(path, folder)


def test_a_built_folder_and_a_release_of_it_have_the_same_rows(tmp_path):
    built = random_label_set(tmp_path / "set")
    released(built, tmp_path / "release/mbps")
    assert open_label_set(str(built.root)).root == built.root
    for reference in ("release", "release/mbps"):
        opened = open_label_set(str(tmp_path / reference))
        for split in built.splits:
            pairs = list(zip(label_rows(opened, split), label_rows(built, split), strict=True))
            assert pairs and all(a.semantic_png == b.semantic_png and a.segments == b.segments for a, b in pairs)
    with pytest.raises(InputError, match="no split 'test'; there is train, validation"):
        opened.files("test")


def test_one_of_several_recipes_must_be_named(tmp_path):
    built = random_label_set(tmp_path / "set")
    for recipe in ("mbps", "mbps-k80"):
        released(built, tmp_path / "release" / recipe)
    with pytest.raises(InputError, match="holds the recipes mbps, mbps-k80; choose one of them with --recipe"):
        open_label_set(str(tmp_path / "release"))
    assert open_label_set(str(tmp_path / "release"), recipe="mbps-k80").root.name == "mbps-k80"
    with pytest.raises(InputError, match="choose one of them"):
        open_label_set(str(tmp_path / "release"), recipe="demo")
    assert open_label_set(str(built.root), recipe="mbps").root == built.root
    with pytest.raises(InputError, match=r"is of the recipe mbps, not demo; leave out --recipe\."):
        open_label_set(str(built.root), recipe="demo")


def test_what_is_no_label_set_is_said(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty holds no labelset.json"):
        open_label_set(str(tmp_path / "empty"))
    with pytest.raises(InputError, match="does not exist; give a folder written by `mbps build`, or OWNER/NAME"):
        open_label_set("no/such/place")
    with pytest.raises(InputError, match="has no revision 'v1'"):
        open_label_set(str(tmp_path / "empty"), revision="v1")
