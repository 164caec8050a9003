"""A finished label set where a new one was asked for: the same identity means the same rows."""

from __future__ import annotations

from pathlib import Path

from mbps_dataset.labelset.build import vouched_files
from mbps_dataset.labelset.folder import LabelSetFolder
from mbps_dataset.store import file_digest


def finished_set(folder: Path, identity: str) -> LabelSetFolder | None:
    """The label set in `folder` if it has this identity and every file of it is there, byte for byte; else None."""
    files = vouched_files(folder, identity)
    if not files or not all(_holds(folder / "data" / name, digest) for name, digest in files.items()):
        return None
    return LabelSetFolder(folder)


def _holds(path: Path, digest: str) -> bool:
    try:
        return file_digest(path) == digest
    except OSError:
        return False
