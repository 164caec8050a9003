"""Reading the files of a source: regular files only, of a size that is known before, each hashed once."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mbps_dataset.errors import InputError
from mbps_dataset.reading.image_files import MAX_FILE_BYTES
from mbps_dataset.reading.json_documents import read_regular
from mbps_dataset.sources.membership import is_utf8, readable
from mbps_dataset.store import file_digest


IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


def read_bytes(path: Path, name: str, *, at_most: int = MAX_FILE_BYTES) -> bytes:
    """The bytes of a regular file of at most `at_most` bytes; `InputError` naming the image if it cannot be read."""
    try:
        if check_file(path, name, at_most=at_most).st_size == 0:  # files of /proc have no size and may have no end
            return b""
        return read_regular(path, at_most)
    except OSError as error:
        raise _unreadable(path, name, error) from None
    except ValueError as error:
        raise InputError(f"{name}: {error}.") from None


def check_file(path: Path, name: str, *, at_most: int | None = None) -> os.stat_result:
    """The status of a regular file with a UTF-8 name, and of at most `at_most` bytes. Raises `InputError` otherwise."""
    if not is_utf8(path):
        raise InputError(f"{readable(path)}: its name is not UTF-8, which ids must be; rename it.")
    try:
        status = path.stat()
    except OSError as error:
        raise _unreadable(path, name, error) from None
    if not stat.S_ISREG(status.st_mode):
        kind = next((word for test, word in _KINDS if test(status.st_mode)), "no file")
        raise InputError(f"{name}: {path} is {kind}, not a regular file; take it out of the folder.")
    if at_most is not None and status.st_size > at_most:
        raise InputError(f"{name}: {status.st_size:,} bytes, and {at_most:,} is the most; scale it down.")
    return status


_KINDS = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"),
          (stat.S_ISCHR, "a device"), (stat.S_ISBLK, "a device"))  # fmt: skip


def _digest(path: Path, size: int) -> str:
    try:
        return file_digest(path) if size else hashlib.sha256().hexdigest()
    except OSError as error:
        raise _unreadable(path, path.name, error) from None


def _unreadable(path: Path, name: str, error: OSError) -> InputError:
    return InputError(f"{name}: {path} cannot be read ({error.strerror}); check the file and its permissions.")


class DigestIndex:
    """SHA-256 of files, remembered so that each file is read once.

    A label set's identity must follow the content of its input, and hashing a Cityscapes tree takes most of a minute;
    with the remembered digests a second look costs one ``stat`` per file. A file is known again by size, modification
    time, change time and inode: nobody can set a change time, so a copy that keeps times is still read anew.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[tuple[int, ...], str]] = {}
        self.changed = False

    def digest(self, path: Path, *, at_most: int | None = None) -> str:
        """Hex SHA-256 of the file's content.

        Raises `InputError` if it cannot be read, is no regular file, or has more than `at_most` bytes.
        """
        status = check_file(path, path.name, at_most=at_most)
        stamp = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
        known = self._known.get(str(path))
        if known is None or known[0] != stamp:
            known = (stamp, _digest(path, status.st_size))
            self._known[str(path)] = known
            self.changed = True
        return known[1]

    def to_json(self) -> dict[str, Any]:
        """What is remembered, JSON-ready."""
        return {path: [list(stamp), digest] for path, (stamp, digest) in self._known.items()}

    def learn(self, document: Mapping[str, Any]) -> None:
        """Remember what `to_json` gave in another process."""
        for path, (stamp, digest) in document.items():
            self._known.setdefault(path, (tuple(stamp), digest))


DIGESTS = DigestIndex()
"""One index per process; content-addressed, so sharing it can only save time."""
