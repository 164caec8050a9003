"""How far a build is, and how long the rest takes."""

from __future__ import annotations

import pytest

from mbps_dataset import cli
from mbps_dataset.errors import InputError
from mbps_dataset.labelset.build import build
from mbps_dataset.labelset.document_file import intact_document, write_document
from mbps_dataset.labelset.order import claim
from mbps_dataset.labelset.status import build_status
from tests.tiny import tiny_label_set, tiny_settings, write_depth


@pytest.fixture(scope="module")
def settings(inputs):
    made = tiny_settings(inputs, 4)
    (inputs / "photos/broken.png").write_bytes(b"text")
    write_depth(inputs / "depth", ["broken"])
    return made


def test_a_build_that_has_only_begun(inputs, settings, tmp_path):
    claim(tmp_path, tiny_label_set(inputs, tmp_path / "stages", settings), None, overwrite=False)
    status = build_status(tmp_path)
    assert not status.finished and not status.calibrated and status.images == 5
    assert set(status.done.values()) == {0} and (status.files, status.planned) == (0, 2)
    assert status.seconds_left is None


def test_a_build_on_its_way_and_at_its_end(inputs, settings, tmp_path, capsys):
    label_set = tiny_label_set(inputs, tmp_path / "stages", settings)
    for index in (0, 1):
        build(label_set, tmp_path, workers=1, progress=False, shard=(index, 3))
    status = build_status(tmp_path)
    assert not status.finished and status.calibrated and status.seconds_left > 0
    assert [failure.image_id for failure in status.failures] == ["broken"]
    assert status.done["codes"] == 5 and status.done["labels"] == 3  # `broken` is done with, and the shard's two
    assert cli.main(["info", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "unfinished" in told and "files       2 of 3 written" in told and "not a PNG" in told
    assert f"continue    mbps resume {tmp_path}" in told and "time left   about " in told
    assert cli.main(["resume", str(tmp_path), "--workers", "1"]) == 3
    assert "1 image could not be labelled" in capsys.readouterr().err
    assert build_status(tmp_path).finished and build_status(tmp_path).seconds_left == 0
    assert cli.main(["info", str(tmp_path)]) == 0
    assert "identity" in capsys.readouterr().out
    (tmp_path / "data/train-00002-of-00003.parquet").unlink()
    assert not build_status(tmp_path).finished


def test_a_finished_set_is_shown_although_its_images_are_gone(inputs, settings, tmp_path, capsys):
    output = tmp_path / "set"
    build(tiny_label_set(inputs, output / "stages", settings, limit=2), output, workers=1, progress=False)
    (inputs / "photos").rename(inputs / "away")
    try:
        assert cli.main(["info", str(output)]) == 0
        assert "identity" in capsys.readouterr().out
        (output / "labelset.json").unlink()
        assert cli.main(["info", str(output)]) == 1
        assert "was begun from there; give the new place" in capsys.readouterr().err
    finally:
        (inputs / "away").rename(inputs / "photos")


def test_a_set_of_an_earlier_version_is_finished_although_its_digests_were_taken_otherwise(inputs, settings, tmp_path):
    output = tmp_path / "set"
    build(tiny_label_set(inputs, output / "stages", settings, limit=2), output, workers=1, progress=False)
    document = intact_document(output / "labelset.json")
    document["digests"]["recipe"] = "of all settings, paths included"
    del document["digests"]["device"]
    write_document(output / "labelset.json", document)
    assert build_status(output).finished
    document["recipe"]["settings"]["instances"]["min_area"] += 1
    write_document(output / "labelset.json", document)
    assert not build_status(output).finished


def test_a_folder_of_something_else(tmp_path, capsys):
    with pytest.raises(InputError, match="neither a label set nor an unfinished build"):
        build_status(tmp_path)
    assert cli.main(["resume", str(tmp_path)]) == 1
    assert "does not say what it is to hold" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
