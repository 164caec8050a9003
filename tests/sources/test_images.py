"""Reading the files of a source."""

from __future__ import annotations

import hashlib
import json
import os
import socket
from pathlib import Path

import pytest

from mbps_dataset.errors import InputError
from mbps_dataset.sources.images import DigestIndex, read_bytes


def test_digest_follows_content_not_time(tmp_path):
    path, index = tmp_path / "a.png", DigestIndex()
    path.write_bytes(b"one")
    first = index.digest(path)
    os.utime(path, ns=(1, 1))
    assert index.digest(path) == first
    path.write_bytes(b"two!")
    assert index.digest(path) != first
    path.unlink()
    with pytest.raises(InputError, match="cannot be read"):
        index.digest(path)
    with pytest.raises(InputError, match="a: .*cannot be read"):
        read_bytes(path, "a")


def test_digests_are_remembered_by_another_process_until_the_file_changes(tmp_path):
    path, index = tmp_path / "a.png", DigestIndex()
    path.write_bytes(b"first")
    digest = index.digest(path)
    assert index.changed
    again = DigestIndex()
    again.learn(json.loads(json.dumps(index.to_json())))
    assert again.digest(path) == digest and not again.changed
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    path.write_bytes(b"other")  # the same size and, set back, the same modification time
    os.utime(path, ns=times)
    assert again.digest(path) != digest and again.changed


def special(folder: Path) -> dict[str, Path]:
    os.mkfifo(folder / "pipe.png")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(folder / "socket.png"))
    (folder / "folder.png").mkdir()
    (folder / "device.png").symlink_to("/dev/zero")
    return {name: folder / f"{name}.png" for name in ("pipe", "socket", "folder", "device")}


@pytest.mark.parametrize("kind", ["pipe", "socket", "folder", "device"])
def test_only_regular_files_are_read(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    path = special(tmp_path)[kind]
    message = f"{kind}.png: .*{kind}.png is a {kind}, not a regular file; take it out of the folder"
    with pytest.raises(InputError, match=message):
        read_bytes(path, path.name)
    with pytest.raises(InputError, match=message):
        DigestIndex().digest(path)


@pytest.mark.skipif(not Path("/proc/kmsg").exists(), reason="Linux's /proc")
def test_files_without_a_size_are_empty(tmp_path):
    """A regular file of /proc says it has no bytes, and may give some for ever."""
    assert read_bytes(Path("/proc/kmsg"), "x") == b""
    assert DigestIndex().digest(Path("/proc/kmsg")) == hashlib.sha256().hexdigest()


def test_a_file_of_gigabytes_is_refused_unread(tmp_path):
    path = tmp_path / "a.png"
    with path.open("wb") as stream:
        stream.truncate(6_000_000_000)
    message = "a.png: 6,000,000,000 bytes, and 145,000,000 is the most; scale it down"
    with pytest.raises(InputError, match=message):
        read_bytes(path, "a.png")
    with pytest.raises(InputError, match=message):
        DigestIndex().digest(path, at_most=145_000_000)


def test_a_name_that_is_not_utf8_is_refused(tmp_path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png"))
    path.write_bytes(b"anything")
    for read in (lambda: read_bytes(path, "x"), lambda: DigestIndex().digest(path)):
        with pytest.raises(InputError, match=r"caf\\xe9.png: its name is not UTF-8, which ids must be; rename it"):
            read()
