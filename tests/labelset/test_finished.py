"""A folder stands for a label set only if it is that one, whole."""

from __future__ import annotations

import shutil

import pytest

from mbps_dataset.labelset.finished import finished_set


@pytest.fixture
def copied(built, tmp_path):
    return shutil.copytree(built.root, tmp_path / "set", ignore=shutil.ignore_patterns("stages"))


def test_a_whole_set_of_the_identity_is_found(built, copied):
    found = finished_set(copied, built.document["identity"])
    assert found is not None and found.root == copied and found.splits == built.splits


def test_another_identity_or_no_set_is_none(built, copied, tmp_path):
    assert finished_set(copied, "0" * 64) is None
    assert finished_set(tmp_path / "nowhere", built.document["identity"]) is None
    (copied / "labelset.json").write_text("{}")
    assert finished_set(copied, built.document["identity"]) is None


@pytest.mark.parametrize("damage", ["gone", "longer", "changed", "a folder"])
def test_a_file_that_is_not_as_listed_is_none(built, copied, damage):
    path = sorted((copied / "data").iterdir())[-1]
    content = path.read_bytes()
    path.unlink()
    if damage == "a folder":
        path.mkdir()
    elif damage != "gone":
        path.write_bytes(content + b"x" if damage == "longer" else b"x" + content[1:])
    assert finished_set(copied, built.document["identity"]) is None
