"""Small rendered stereo video for tests of flow and motion, and the same as a folder of files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from mbps_dataset.sources import ScenesSource
from mbps_dataset.sources.rendered import SceneFrame


STREETS = {"train": 2, "validation": 0, "height": 192, "width": 384}
"""Of the two, the second has a large moving car."""

MOTION_SETTINGS = (
    "depth.method=stereo",
    "instances.method=motion",
    "things.method=motion",
    "fusion.unlabelled_things=void",
    "motion.least_object_px=60",
)


def frames() -> Sequence[SceneFrame]:
    return ScenesSource(**STREETS).frames("train")


def write_street(folder: Path) -> Path:
    """Three moments of the second street in the layout of the source `stereo`."""
    middle = frames()[1]
    for number, offset in enumerate((-1, 0, 1)):
        frame = middle if offset == 0 else middle.neighbour(offset)
        assert frame is not None
        for eye, image in (("left", frame.image()), ("right", frame.second_eye())):
            (folder / eye).mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.asarray(image)).save(folder / eye / f"{number}.png")
    camera = middle.camera()
    numbers = {"fx": camera.fx, "fy": camera.fy, "cx": camera.cx, "cy": camera.cy, "baseline": camera.baseline_m}
    (folder / "calibration.json").write_text(json.dumps(numbers))
    return folder


def tiny_motion_settings(weights: Path) -> list[str]:
    """``--set`` settings of `demo-motion` that build the street in a second; `weights` is the folder of tiny CAUSE weights."""
    return [
        f"semantics.weights={weights}",
        "semantics.short_side=70",
        "semantics.crop=70",
        "semantics.stride=70",
        "semantics.flip=false",
        "clusters.count=6",
        "crf.enabled=false",
        "flow.preset=fast",
        "motion.least_object_px=60",
        "instances.short_side=64",
        "fusion.min_stuff_area=20",
    ]
