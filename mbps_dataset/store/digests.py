"""The one hash: SHA-256 of JSON-ready values and of files, the same on every machine."""

from __future__ import annotations

import hashlib
import json
import os


def digest_of(*parts: object) -> str:
    """Hex SHA-256 over JSON-ready parts; the same parts in the same order give the same digest on every machine."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def file_digest(path: str | os.PathLike[str]) -> str:
    """Hex SHA-256 of a file, read in blocks. Raises `OSError` if it cannot be read."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
