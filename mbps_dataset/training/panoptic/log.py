"""``log.jsonl``: what happened while training, a JSON object a line, as far as the checkpoint goes.

A line of `step` holds the means since the line before: `loss` and its parts, the largest gradient norm, the learning
rate, images a second; a line with `validation` holds what was measured then. Who goes on from a checkpoint drops what
the interrupted run wrote after it, so that every step is told of once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mbps_dataset.errors import StoreError
from mbps_dataset.store import write_atomically


NAME = "log.jsonl"


class TrainingLog:
    """Appends lines to a file (None: nowhere); `start` is the number of steps that are done.

    Raises `StoreError` if it cannot be written.
    """

    def __init__(self, path: Path | None, *, start: int) -> None:
        self.path = path
        if path is not None:
            kept = [line for line in read_log(path) if line["step"] <= start]
            write_atomically(path, "".join(map(_line, kept)).encode())

    def write(self, entry: Mapping[str, Any]) -> None:
        """Add a line at once. Raises `StoreError`."""
        if self.path is None:
            return
        try:
            with self.path.open("a", encoding="utf-8") as stream:
                stream.write(_line(entry))
        except OSError as error:
            raise StoreError(
                f"{self.path}: cannot be written ({error.strerror or error}); free some space and run the same command "
                "again, which goes on from the last checkpoint."
            ) from error


def read_log(path: Path) -> list[dict[str, Any]]:
    """The lines of a log in order; none if there is no file. What a kill cut off is left out."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    return [entry for line in lines if (entry := _parsed(line)) is not None]


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) and isinstance(entry.get("step"), int) else None


def _line(entry: Mapping[str, Any]) -> str:
    return json.dumps(entry) + "\n"
