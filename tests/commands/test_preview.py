"""`mbps preview` on the command line: what it says next, and what has moved."""

from __future__ import annotations

import shutil

import pytest

from mbps_dataset import cli
from mbps_dataset.labelset.document_file import write_document
from mbps_dataset.labelset.folder import LabelSetFolder
from tests.formats.label_sets import random_label_set
from tests.tiny import write_photographs


@pytest.fixture
def of_photographs(tmp_path):
    """A label set that remembers photographs in a folder, with `limit` to be set by tests."""

    def make(**changes):
        ids = ("photo_000", "photo_001")
        built = random_label_set(tmp_path / "set", ids={"train": ids})
        source = {"name": "folder", "data_dir": str(tmp_path / "photos"), "truth_dir": None}
        write_document(built.root / "labelset.json", built.document | {"source": source} | changes)
        write_photographs(tmp_path / "photos", 2)
        return LabelSetFolder(built.root)

    return make


def test_after_the_demo_comes_a_hint_to_own_photos(built, capsys):
    assert cli.main(["--quiet", "preview", str(built.root), "--images", "1"]) == 0
    told = capsys.readouterr()
    assert "Your own photos:  mbps build --recipe demo --source folder --data-dir PHOTOS" in told.out
    assert told.err == ""


def test_after_own_photos_comes_what_can_be_done_with_them(of_photographs, capsys):
    built = of_photographs()
    assert cli.main(["--quiet", "preview", str(built.root), "--images", "1"]) == 0
    told = capsys.readouterr()
    assert "own photos" not in told.out and f"mbps export {built.root} exports/coco" in told.out
    of_photographs(limit=2)
    assert cli.main(["--quiet", "preview", str(built.root), "--images", "1"]) == 0
    assert "without --limit" in capsys.readouterr().out


def test_truth_that_moved_is_told(of_photographs, tmp_path, capsys):
    source = {"name": "folder", "data_dir": str(tmp_path / "gone"), "truth_dir": str(tmp_path / "truth")}
    built = of_photographs(source=source)
    assert cli.main(["--quiet", "preview", str(built.root), "--images", "1"]) == 0
    told = capsys.readouterr().err
    assert told.startswith(f"Without ground truth: {tmp_path / 'gone'} does not exist") and "--data-dir" in told


def test_photos_that_moved_are_named_and_found_again(of_photographs, tmp_path, capsys):
    built = of_photographs()
    shutil.move(tmp_path / "photos", tmp_path / "elsewhere")
    command = ["--quiet", "preview", str(built.root), "--images", "1"]
    assert cli.main(command) == 0
    assert capsys.readouterr().err == ""  # photographs that never had truth
    page = (built.root / "report.html").read_text(encoding="utf-8")
    assert "The images are not at hand, so the labels stand alone" in page and "--data-dir" in page
    assert cli.main([*command, "--data-dir", str(tmp_path / "elsewhere")]) == 0
    assert capsys.readouterr().err == ""
    assert "photo of photo_000" in (built.root / "report.html").read_text(encoding="utf-8")
    assert cli.main([*command, "--data-dir", str(tmp_path / "nope")]) == 1
    assert f"{tmp_path / 'nope'} does not exist" in capsys.readouterr().err
