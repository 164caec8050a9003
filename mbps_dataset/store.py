"""Stage results on disk: the only cache, and what makes a long job resumable.

A result is one file, ``root/stage/key/name``, where `key` is a digest of everything that decides the result (settings,
weights, code version, upstream keys) and `name` of the image's id and content. Decisions:

* a file appears whole or not at all (temporary file, then rename) and carries a SHA-256 of its content, so a torn or
  damaged file reads as missing and is recomputed;
* two processes that compute the same result write the same bytes; whoever renames last wins, harmlessly;
* arrays are stored as safetensors inside zlib: nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.numpy

from mbps_dataset.errors import StoreError


_MAGIC = b"mbps-stage-1\n"
_DIGEST_BYTES = 32


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
        try:
            data = self.path(stage, key, image_id, input_digest).read_bytes()
        except OSError:
            return None
        body = data[len(_MAGIC) + _DIGEST_BYTES :]
        if not data.startswith(_MAGIC) or hashlib.sha256(body).digest() != data[len(_MAGIC) :][:_DIGEST_BYTES]:
            return None
        return safetensors.numpy.load(zlib.decompress(body))

    def put(self, stage: str, key: str, image_id: str, input_digest: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Write a result atomically. Raises `StoreError` when the disk is full or the folder cannot be written."""
        contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        body = zlib.compress(safetensors.numpy.save(contiguous), level=1)
        write_atomically(self.path(stage, key, image_id, input_digest), _MAGIC + hashlib.sha256(body).digest() + body)

    def get_json(self, name: str) -> dict | None:
        """A JSON document of the store, or None if it is missing or damaged."""
        try:
            return json.loads((self.root / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None

    def put_json(self, name: str, document: Mapping) -> None:
        """Write a JSON document atomically. Raises `StoreError`."""
        write_atomically(self.root / name, json.dumps(document, indent=1, sort_keys=True).encode())

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
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(data)
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True) if temporary.parent.is_dir() else None
        raise StoreError(
            f"{path}: cannot be written ({error.strerror}). Everything written so far is kept; "
            "free some space or choose a folder you may write to, and run the same command again."
        ) from error
