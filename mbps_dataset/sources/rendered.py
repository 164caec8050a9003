"""Rendered street scenes as a source: the demo's images, and truth to measure with.

Training and validation scenes come from disjoint ranges of seeds, both disjoint from the seeds that the shipped
networks were trained on (`TRAINING_SEEDS`), so that a score on either split is a score on unseen scenes.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from PIL import Image

from mbps_dataset import scenes
from mbps_dataset.arrays import RGBImage
from mbps_dataset.errors import InputError
from mbps_dataset.sources.frame import Frame, Source, Truth


TRAINING_SEEDS = range(0, 1_000_000)
_FIRST_SEED = {"train": 2_000_000, "validation": 3_000_000}
_MOST_SCENES = 1_000_000


@dataclass(frozen=True)
class SceneFrame(Frame):
    """One rendered scene; rendered anew on each request, since that is cheaper than keeping it."""

    image_id: str
    seed: int
    settings: scenes.SceneSettings

    def image_bytes(self) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(scenes.render(self.seed, self.settings).image).save(buffer, "PNG", compress_level=1)
        return buffer.getvalue()

    def image(self) -> RGBImage:
        """As `Frame.image`, without the round trip through PNG."""
        return scenes.render(self.seed, self.settings).image

    def digest(self) -> str:
        what = {"seed": self.seed, "appearance": scenes.APPEARANCE_VERSION, **asdict(self.settings)}
        return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()

    def truth(self) -> Truth:
        label_ids, instance_ids, depth_m = scenes.Scene.draw(self.seed, self.settings).truth()
        return Truth(label_ids=label_ids, instance_ids=instance_ids, depth_m=depth_m)


class ScenesSource(Source):
    """`train` and `validation` rendered scenes of one size."""

    name = "scenes"
    has_truth = True

    def __init__(self, train: int = 48, validation: int = 16, height: int = 512, width: int = 1024) -> None:
        if min(train, validation) < 0 or train + validation == 0:
            raise InputError(f"Asked for {train} training and {validation} validation scenes; ask for at least one.")
        if max(train, validation) > _MOST_SCENES:  # or training scenes would be validation scenes too
            raise InputError(f"Asked for {max(train, validation)} scenes of a split; there are {_MOST_SCENES}.")
        self._counts = {"train": train, "validation": validation}
        self._settings = scenes.SceneSettings(height=height, width=width)

    def splits(self) -> tuple[str, ...]:
        return tuple(split for split, count in self._counts.items() if count)

    def frames(self, split: str) -> Sequence[SceneFrame]:
        if split not in self.splits():
            raise InputError(f"No split {split!r}; there is {', '.join(self.splits())}.")
        first = _FIRST_SEED[split]
        return tuple(
            SceneFrame(f"scene_{first + k:07d}", first + k, self._settings) for k in range(self._counts[split])
        )

    def describe(self) -> dict[str, Any]:
        size = {"height": self._settings.height, "width": self._settings.width}
        return {"name": self.name, **self._counts, **size}

    def licence_allows_images(self) -> bool:
        return True
