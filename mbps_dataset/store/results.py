"""Stage results on disk: the only cache, and what makes a long job resumable.

A result is one file, ``root/stage/key/name``, where `key` is a digest of everything that decides the result (settings,
weights, code version, upstream keys) and `name` of the image's id and content. Decisions:

* a file appears whole or not at all (temporary file, then rename) and carries a SHA-256 of its address and content, JSON
  documents too, so a torn or damaged file, or one that was moved to another's place, reads as missing and is recomputed;
  what stands in a file's way is moved aside;
* two processes that compute the same result write the same bytes; whoever renames last wins, harmlessly. Work that is
  better done once (`alone`) is done under a lock that the system releases when its holder dies, however it dies;
* arrays are stored as safetensors inside zlib: nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from filelock import FileLock

from mbps_dataset.store.digests import digest_of
from mbps_dataset.store.writing import write_atomically


_MAGIC = b"mbps-stage-2\n"
"""Raised with the form of files; those of an earlier form read as missing."""
_DIGEST_BYTES = 32
_CHECKSUM = "sha256 of name and rest"


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
        body = self._body(stage, key, image_id, input_digest)
        return None if body is None else safetensors.numpy.load(zlib.decompress(body))

    def holds(self, stage: str, key: str, image_id: str, input_digest: str) -> bool:
        """Whether a result is there and undamaged; costs reading it, without unpacking."""
        return self._body(stage, key, image_id, input_digest) is not None

    def _body(self, *address: str) -> bytes | None:
        """The content of the result at an address, if it is there, undamaged, and was put there."""
        try:
            data = self.path(*address).read_bytes()
        except OSError:
            return None
        body = data[len(_MAGIC) + _DIGEST_BYTES :]
        if not data.startswith(_MAGIC) or _checksum(address, body) != data[len(_MAGIC) :][:_DIGEST_BYTES]:
            return None
        return body

    def put(self, stage: str, key: str, image_id: str, input_digest: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Write a result atomically. Raises `StoreError` if the disk is full or the folder cannot be written."""
        contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        body = zlib.compress(safetensors.numpy.save(contiguous), level=1)
        address = (stage, key, image_id, input_digest)
        write_atomically(self.path(*address), _MAGIC + _checksum(address, body) + body)

    def get_json(self, name: str) -> dict[str, Any] | None:
        """A JSON document of the store, or None if it is missing or damaged."""
        try:
            document = json.loads((self.root / name).read_text(encoding="utf-8"))
            checksum = document.pop(_CHECKSUM)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        return document if checksum == digest_of(name, document) else None

    def put_json(self, name: str, document: Mapping[str, Any]) -> None:
        """Write a JSON document atomically, with its checksum. Raises `StoreError`."""
        checked = {_CHECKSUM: digest_of(name, document), **document}
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
        self.put_json(_failure_name(failure.image_id), asdict(failure))

    def clear_failure(self, image_id: str) -> None:
        """Forget a failure, because the image has been labelled since."""
        (self.root / _failure_name(image_id)).unlink(missing_ok=True)

    def failures(self) -> Iterator[Failure]:
        """All remembered failures, sorted by image id."""
        found = []
        for path in (self.root / "failures").glob("*.json"):
            document = self.get_json(path.relative_to(self.root).as_posix())
            if document:
                found.append(Failure(document["image_id"], document["stage"], document["reason"]))
        yield from sorted(found, key=lambda failure: failure.image_id)


def _failure_name(image_id: str) -> str:
    return f"failures/{digest_of(image_id)[:16]}.json"


def _checksum(address: tuple[str, ...], body: bytes) -> bytes:
    """SHA-256 over address and content: a file says which result of which image it is, not only what."""
    return hashlib.sha256(digest_of(*address).encode() + body).digest()
