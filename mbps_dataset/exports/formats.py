"""The table of formats."""

from __future__ import annotations

from types import ModuleType

from mbps_dataset.exports import cityscapes, coco_panoptic, cups, maskformer


FORMATS: dict[str, ModuleType] = {
    "coco-panoptic": coco_panoptic,
    "cityscapes": cityscapes,
    "cups": cups,
    "maskformer": maskformer,
}
"""Each has `Writer`, `location`, `readers`, and says in `HELD` and `NOT_HELD` what survives."""
