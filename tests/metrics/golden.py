"""Reads the golden scenes of the folder ``pq`` of the vectors (see its README)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from mbps_dataset.metrics import PanopticQuality
from tests.vectors import vector_path


FOLDER = vector_path("pq")
SCENES = tuple(sorted(path.name for path in FOLDER.iterdir() if path.name[:2] in {f"{k:02d}" for k in range(1, 20)}))


@dataclass(frozen=True)
class Scene:
    """One folder: maps per image in the order of `PanopticQuality.update`, settings and expected numbers."""

    name: str
    meta: dict[str, Any]
    expected: dict[str, Any]
    images: list[dict[str, np.ndarray | None]]

    def metric(self, **settings: Any) -> PanopticQuality:
        """A metric with the scene's classes, all images added."""
        split = self.meta["pseudo_things"] is not None
        defaults = {
            "matching": "hungarian_split" if split else "hungarian",
            "pseudo_things": self.meta["pseudo_things"] if split else (),
            "pseudo_stuff": self.meta["pseudo_stuffs"] if split else range(self.meta["num_pseudo"]),
        }
        metric = PanopticQuality(self.meta["things"], self.meta["stuffs"], **(defaults | settings))
        for number, image in enumerate(self.images):
            metric.update(**image, image_id=f"{number:03d}")
        return metric


def load(name: str) -> Scene:
    meta, expected = (json.loads((FOLDER / name / f"{kind}.json").read_text()) for kind in ("meta", "expected"))
    arrays = np.load(FOLDER / name / "inputs.npz")
    names = {
        "pred_semantic": "pred_sem",
        "pred_instance": "pred_inst",
        "true_semantic": "gt_sem",
        "true_instance": "gt_inst",
        "true_crowd": "gt_crowd",
    }
    images = []
    for number in range(meta["n_images"]):
        keys = {ours: f"{theirs}_{number:03d}" for ours, theirs in names.items()}
        images.append({ours: arrays[key] if key in arrays.files else None for ours, key in keys.items()})
    return Scene(name, meta, expected, images)
