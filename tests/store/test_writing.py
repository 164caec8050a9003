"""The one atomic write."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from mbps_dataset.errors import StoreError
from mbps_dataset.store import holds_bytes, remove_abandoned, replacing, scratch_folder, write_atomically, write_json


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_read_only_folder_is_one_clear_line_for_users(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError, match="cannot be written .*Everything written so far is kept"):
        write_atomically(tmp_path / "x", b"1")


def test_unwritable_place_is_one_clear_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written .*Everything written so far is kept"):
        write_atomically(tmp_path / "file" / "x", b"1")


def test_full_disk_is_one_clear_line():
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full on this system")
    with pytest.raises(StoreError, match="cannot be written"):
        write_atomically(full / "x", b"1")


def test_what_a_killed_process_left_is_removed_in_time(tmp_path):
    old, new, other = tmp_path / "a/.x.bin.1.ab.tmp", tmp_path / "a/.y.bin.1.ab.tmp", tmp_path / "a/.z.bin"
    old.parent.mkdir()
    for path in (old, new, other):
        path.write_text("")
        os.utime(path, (time.time() - 7200,) * 2)
    os.utime(new)
    remove_abandoned(tmp_path)
    assert sorted(p.name for p in old.parent.iterdir()) == [new.name, other.name]


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()])
def test_what_was_there_stays_when_writing_is_given_up(tmp_path, error):
    write_atomically(tmp_path / "deep/x", b"old")
    with pytest.raises(type(error)), replacing(tmp_path / "deep/x", durable=True) as temporary:
        temporary.write_bytes(b"new")
        raise error
    assert holds_bytes(tmp_path / "deep/x", b"old") and not holds_bytes(tmp_path / "deep/y", b"")
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["x"]


def test_json_is_readable_and_ends_its_last_line(tmp_path):
    write_json(tmp_path / "a.json", {"name": "Zürich", "n": [1]})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"name": "Zürich", "n": [1]} and "Zürich" in text and text.endswith("}\n")


def test_a_scratch_folder_is_gone_however_its_block_ends(tmp_path):
    with scratch_folder(tmp_path, "copies") as folder:
        (folder / "a").write_text("x")
        assert folder.parent == tmp_path and folder.name.startswith(".copies-")
    with pytest.raises(KeyboardInterrupt), scratch_folder(tmp_path, "copies") as folder:
        (folder / "a").write_text("x")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_goes_and_what_is_in_use_stays(tmp_path):
    (tmp_path / ".copies-killed").mkdir()
    (tmp_path / ".copies-killed/lock").write_text("")  # a lock that nobody holds
    for name, age in ((".copies-old", 7200), (".copies-new", 0), (".other-old", 7200)):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    with scratch_folder(tmp_path, "copies") as first, scratch_folder(tmp_path, "copies") as second:
        kept = {first.name, second.name, ".copies-new", ".other-old"}
        assert {path.name for path in tmp_path.iterdir()} == kept


def test_a_scratch_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="file: cannot be written"), scratch_folder(tmp_path / "file", "copies"):
        pass
