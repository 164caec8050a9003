"""Stage results on disk: the only cache, and what makes a long job resumable.

A result is one file, ``root/stage/key/name``, where `key` is a digest of everything that decides the result (settings,
weights, code version, upstream keys) and `name` of the image's id and content. Decisions:

* a file appears whole or not at all (temporary file, then rename) and carries a SHA-256 of its content, JSON documents
  too, so a torn or damaged file reads as missing and is recomputed; what stands in a file's way is moved aside;
* two processes that compute the same result write the same bytes; whoever renames last wins, harmlessly. Work that is
  better done once (`alone`) is done under a lock that the system releases when its holder dies, however it dies;
* arrays are stored as safetensors inside zlib: nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.numpy
from filelock import FileLock

from mbps_dataset.errors import StoreError


_MAGIC = b"mbps-stage-1\n"
_DIGEST_BYTES = 32
_CHECKSUM = "sha256 of the rest"
_ABANDONED_S = 3600
"""Age in seconds at which a temporary file is taken to be left by a process that was killed; a write takes seconds."""


def digest_of(*parts: object) -> str:
    """Hex SHA-256 over JSON-ready parts; the same parts in the same order give the same digest on every machine."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


@dataclass(frozen=True)
class Failure:
    """An image that could not be labelled: which, at which stage, and the one line a person reads."""

    image_id: str
    stage: str
    reason: str


class Store:
    """Stage results below `root`, which is created when first written to."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)

    def path(self, stage: str, key: str, image_id: str, input_digest: str) -> Path:
        """Where a result lies. The name is readable, free of separators, and unique per id and content."""
        readable = re.sub(r"[^A-Za-z0-9_-]+", "_", image_id)[-60:].strip("_") or "image"
        return self.root / stage / key[:16] / f"{readable}-{digest_of(image_id, input_digest)[:16]}.bin"

    def get(self, stage: str, key: str, image_id: str, input_digest: str) -> dict[str, np.ndarray] | None:
        """The arrays of a result, or None if it is missing or damaged."""
        body = self._body(self.path(stage, key, image_id, input_digest))
        return None if body is None else safetensors.numpy.load(zlib.decompress(body))

    def holds(self, stage: str, key: str, image_id: str, input_digest: str) -> bool:
        """Whether a result is there and undamaged; costs reading it, without unpacking."""
        return self._body(self.path(stage, key, image_id, input_digest)) is not None

    def _body(self, path: Path) -> bytes | None:
        """The checked content of a result file."""
        try:
            data = path.read_bytes()
        except OSError:
            return None
        body = data[len(_MAGIC) + _DIGEST_BYTES :]
        if not data.startswith(_MAGIC) or hashlib.sha256(body).digest() != data[len(_MAGIC) :][:_DIGEST_BYTES]:
            return None
        return body

    def put(self, stage: str, key: str, image_id: str, input_digest: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Write a result atomically. Raises `StoreError` when the disk is full or the folder cannot be written."""
        contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        body = zlib.compress(safetensors.numpy.save(contiguous), level=1)
        write_atomically(self.path(stage, key, image_id, input_digest), _MAGIC + hashlib.sha256(body).digest() + body)

    def get_json(self, name: str) -> dict | None:
        """A JSON document of the store, or None if it is missing or damaged."""
        try:
            document = json.loads((self.root / name).read_text(encoding="utf-8"))
            checksum = document.pop(_CHECKSUM)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        return document if checksum == digest_of(document) else None

    def put_json(self, name: str, document: Mapping) -> None:
        """Write a JSON document atomically, with its checksum. Raises `StoreError`."""
        checked = {_CHECKSUM: digest_of(document), **document}
        write_atomically(self.root / name, json.dumps(checked, indent=1).encode())

    @contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """Hold the lock `name` of the store; other processes wait, and look again for what they wanted.

        A killed holder loses it at once. Where a file system has no locks nobody waits: work is then done twice, to the
        same bytes.
        """
        path = self.root / "locks" / f"{name}.lock"
        with ExitStack() as held:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                held.enter_context(FileLock(path))
            except (OSError, NotImplementedError):
                pass
            yield

    def record_failure(self, failure: Failure) -> None:
        """Remember why an image could not be labelled. Raises `StoreError`."""
        name = digest_of(failure.image_id)[:16]
        self.put_json(f"failures/{name}.json", {"image_id": failure.image_id, "stage": failure.stage,
                                                "reason": failure.reason})  # fmt: skip

    def clear_failure(self, image_id: str) -> None:
        """Forget a failure, because the image has been labelled since."""
        (self.root / "failures" / f"{digest_of(image_id)[:16]}.json").unlink(missing_ok=True)

    def failures(self) -> Iterator[Failure]:
        """All remembered failures, sorted by image id."""
        found = []
        for path in (self.root / "failures").glob("*.json"):
            document = self.get_json(str(path.relative_to(self.root)))
            if document:
                found.append(Failure(document["image_id"], document["stage"], document["reason"]))
        yield from sorted(found, key=lambda failure: failure.image_id)


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file whole or not at all. Raises `StoreError` saying what to do; never leaves a partial file behind."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


@contextmanager
def replacing(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """A temporary path to write to, which becomes `path` when the block ends well and disappears when it does not.

    `durable` waits until the content is on the disk, so that a power cut cannot leave an empty file under the name.
    Raises `StoreError` when it cannot be written.
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


def remove_abandoned(root: Path) -> None:
    """Delete temporary files below `root` that a killed process left an hour ago or earlier."""
    for path in root.rglob(".*.tmp"):
        try:
            if time.time() - path.stat().st_mtime > _ABANDONED_S:
                path.unlink()
        except OSError:
            continue


def file_digest(path: Path) -> str | None:
    """Hex SHA-256 of a file, read in blocks; None if it cannot be read."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    except OSError:
        return None
    return digest.hexdigest()


def holds_bytes(path: Path, data: bytes) -> bool:
    """Whether a file is there and has exactly this content."""
    try:
        return path.read_bytes() == data
    except OSError:
        return False
