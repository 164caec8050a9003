"""The table of formats: of labels alone, and of whole folders that another trainer reads as they are."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import ModuleType

from mbps_dataset.formats import (
    cityscapes,
    coco_panoptic,
    cups,
    detectron2_layout,
    lightly_layout,
    maskformer,
    mmdet_layout,
)
from mbps_dataset.store import file_digest


LABEL_FORMATS: dict[str, ModuleType] = {
    "coco-panoptic": coco_panoptic,
    "cityscapes": cityscapes,
    "cups": cups,
    "maskformer": maskformer,
}
"""Labels only; images stay where they are."""

LAYOUTS: dict[str, ModuleType] = {
    "lightly": lightly_layout,
    "mmdet": mmdet_layout,
    "detectron2": detectron2_layout,
}
"""With images, and what the trainer is told about classes; each also has `finish`, which writes that."""

FORMATS = LABEL_FORMATS | LAYOUTS
"""Each has `Writer`, `location`, `readers`, says in `HELD` and `NOT_HELD` what survives, and in `LABEL_FILES` which files
are read back."""


def label_digest(folder: Path, format_name: str) -> str:
    """SHA-256 (hex) over names and contents of the files that hold the labels of an export."""
    digest = hashlib.sha256()
    for path in sorted({path for pattern in FORMATS[format_name].LABEL_FILES for path in folder.glob(pattern)}):
        content = file_digest(path)
        digest.update(f"{content}  {path.relative_to(folder).as_posix()}\n".encode())
    return digest.hexdigest()
