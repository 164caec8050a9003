"""The one atomic write: a file appears whole or not at all, and nothing of a write that failed stays behind."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from mbps_dataset.errors import StoreError


_ABANDONED_S = 3600
"""Age in seconds at which a temporary file is taken to be left by a process that was killed; a write takes seconds."""


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file whole or not at all. Raises `StoreError` saying what to do; never leaves a partial file behind."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write a document as indented JSON in UTF-8, whole or not at all. Raises `StoreError`."""
    write_atomically(path, (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode())


@contextmanager
def replacing(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """A temporary path to write to, which becomes `path` when the block ends well and disappears when it does not.

    `durable` waits until the content is on the disk, so that a power cut cannot leave an empty file under the name.
    Raises `StoreError` if it cannot be written.
    """
    temporary = path.with_name(f".{path.name[-100:]}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        if durable:
            _flush(temporary)
        _move_into_place(temporary, path)
    except OSError as error:
        _remove(temporary)
        if isinstance(error, StoreError):
            raise
        raise StoreError(
            f"{path}: cannot be written ({error.strerror or error}). Everything written so far is kept; "
            "free some space or choose a folder you may write to, and run the same command again."
        ) from error
    except BaseException:
        _remove(temporary)
        raise


def _flush(path: Path) -> None:
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def _move_into_place(temporary: Path, path: Path) -> None:
    try:
        os.replace(temporary, path)
    except (IsADirectoryError, PermissionError):
        if not path.is_dir():
            raise
        path.rename(path.with_name(f".{path.name[-100:]}.{secrets.token_hex(4)}.aside"))
        os.replace(temporary, path)


def _remove(temporary: Path) -> None:
    try:
        temporary.unlink(missing_ok=True)
    except OSError:
        pass  # it never came to be; the error that is on its way says why


@contextmanager
def scratch_folder(parent: Path, purpose: str) -> Iterator[Path]:
    """A hidden folder ``parent/.PURPOSE-…`` to work in, gone when the block ends.

    A process that is killed cannot remove its own, but the system then releases the lock in it: the next call for the
    same purpose removes it. Raises `StoreError` if it cannot be made.
    """
    try:
        for path in parent.glob(f".{purpose}-*"):
            if path.is_dir() and _is_abandoned(path):
                shutil.rmtree(path, ignore_errors=True)
        folder = parent / f".{purpose}-{secrets.token_hex(4)}"
        folder.mkdir(parents=True)
    except OSError as error:
        raise StoreError(f"{parent}: cannot be written ({error.strerror or error}); choose a folder you may write to, or "
                         "free some space.") from error  # fmt: skip
    lock = FileLock(folder / "lock")
    try:
        with suppress(OSError, NotImplementedError):  # a file system without locks; then age decides
            lock.acquire()
        yield folder
    finally:
        lock.release()
        shutil.rmtree(folder, ignore_errors=True)


def _is_abandoned(folder: Path) -> bool:
    """Whether nobody holds the lock of a scratch folder; one without a lock is judged by its age."""
    try:
        if not (folder / "lock").exists():
            return time.time() - folder.stat().st_mtime > _ABANDONED_S
        with FileLock(folder / "lock", timeout=0):
            return True
    except Timeout:
        return False
    except (OSError, NotImplementedError):
        return False


def remove_abandoned(root: Path) -> None:
    """Delete temporary files below `root` that a killed process left an hour ago or earlier."""
    for path in root.rglob(".*.tmp"):
        try:
            if time.time() - path.stat().st_mtime > _ABANDONED_S:
                path.unlink()
        except OSError:
            continue


def holds_bytes(path: Path, data: bytes) -> bool:
    """Whether a file is there and has exactly this content."""
    try:
        return path.read_bytes() == data
    except OSError:
        return False
