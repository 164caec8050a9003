"""Rendered street scenes as a source: the demo's images, and truth to measure with.

Training and validation scenes come from disjoint ranges of seeds, both disjoint from the seeds that the shipped
networks were trained on (`TRAINING_SEEDS`), so that a score on either split is a score on unseen scenes.

Every scene is a short stereo video: a frame has the right eye's view, its camera, and as neighbours the frames before and
after it (`MOMENTS`), rendered when they are asked for.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from PIL import Image

from mbps_dataset import scenes
from mbps_dataset.arrays import RGBImage
from mbps_dataset.errors import InputError
from mbps_dataset.sources.camera import Camera
from mbps_dataset.sources.frame import Frame, FrameHas, Source, Truth


MOMENTS = (-1.0, 0.0, 1.0)
"""The times of a scene, in frames; the source lists the frame at 0."""
TRAINING_SEEDS = range(0, 1_000_000)
_FIRST_SEED = 2_000_000
_MOST_SCENES = 1_000_000
"""Of a split, and seeds from the first training scene to the first validation scene."""


@dataclass(frozen=True)
class SceneFrame(Frame):
    """One moment of a rendered scene; rendered anew on each request, since that is cheaper than keeping it.

    Without `things_move` only the camera moves with `time`.
    """

    image_id: str
    seed: int
    settings: scenes.SceneSettings
    time: float = 0.0
    things_move: bool = True

    def scene(self) -> scenes.Scene:
        """The street that the frame shows; `mbps_dataset.scenes.stereo_video_truth` gives its true motion."""
        return scenes.Scene.draw(self.seed, self.settings, things_move=self.things_move)

    def image_bytes(self) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(self.image()).save(buffer, "PNG", compress_level=1)
        return buffer.getvalue()

    def image(self) -> RGBImage:
        """As `Frame.image`, without the round trip through PNG."""
        return self.scene().view(self.time).image

    def digest(self) -> str:
        return self._digest()

    def _digest(self, **more: object) -> str:
        """Of what decides the picture; what a plain frame at time 0 has is left out, so that its digest never changes."""
        what = {"seed": self.seed, "appearance": scenes.APPEARANCE_VERSION, **asdict(self.settings), **more}
        what |= {"time": self.time} if self.time else {}
        what |= {} if self.things_move else {"things_move": False}
        return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()

    @property
    def has_truth(self) -> bool:
        return True

    def truth(self) -> Truth:
        scene = self.scene()
        label_ids, instance_ids, depth_m = scene.truth(self.time)
        moving = scene.moving_ids() & frozenset(np.unique(instance_ids).tolist())
        return Truth(label_ids=label_ids, instance_ids=instance_ids, depth_m=depth_m, moving_ids=moving)

    def has(self) -> FrameHas:
        return FrameHas(second_eye=True, next_frame=self.time + 1 in MOMENTS, camera=True)

    def second_eye(self) -> RGBImage:
        return self.scene().view(self.time, right=True).image

    def second_eye_digest(self) -> str:
        return self._digest(right=True)

    def neighbour(self, offset: int) -> SceneFrame | None:
        time = self.time + offset
        image_id = f"scene_{self.seed:07d}" + (f"_{time:+.0f}" if time else "")
        return replace(self, image_id=image_id, time=time) if time in MOMENTS else None

    def camera(self) -> Camera:
        k = scenes.intrinsics_of(self.settings)
        return Camera(k.fx, k.fy, k.cx, k.cy, scenes.BASELINE_M, (self.settings.height, self.settings.width))

    def camera_digest(self) -> str:
        camera = asdict(self.camera())
        return hashlib.sha256(json.dumps(camera, sort_keys=True).encode()).hexdigest()


class ScenesSource(Source):
    """`train` and `validation` rendered scenes of one size, the first training scene being that of `first_seed`."""

    name = "scenes"
    has_truth = True

    def __init__(
        self,
        train: int = 48,
        validation: int = 16,
        height: int = 512,
        width: int = 1024,
        first_seed: int = _FIRST_SEED,
    ) -> None:
        if first_seed < 0:
            raise InputError(f"first_seed is {first_seed}; give a whole number of at least 0.")
        if min(train, validation) < 0 or train + validation == 0:
            raise InputError(f"Asked for {train} training and {validation} validation scenes; ask for at least one.")
        if max(train, validation) > _MOST_SCENES:  # or training scenes would be validation scenes too
            raise InputError(f"Asked for {max(train, validation)} scenes of a split; there are {_MOST_SCENES}.")
        self._counts = {"train": train, "validation": validation}
        self._first = {"train": first_seed, "validation": first_seed + _MOST_SCENES}
        self._settings = scenes.SceneSettings(height=height, width=width)

    def splits(self) -> tuple[str, ...]:
        return tuple(split for split, count in self._counts.items() if count)

    def frames(self, split: str) -> Sequence[SceneFrame]:
        if split not in self.splits():
            raise InputError(f"No split {split!r}; there is {', '.join(self.splits())}.")
        first = self._first[split]
        return tuple(
            SceneFrame(f"scene_{first + k:07d}", first + k, self._settings) for k in range(self._counts[split])
        )

    def describe(self) -> dict[str, Any]:
        size = {"height": self._settings.height, "width": self._settings.width}
        moved = {} if self._first["train"] == _FIRST_SEED else {"first_seed": self._first["train"]}
        return {"name": self.name, **self._counts, **size, **moved}  # as before `first_seed`, which old sets lack

    def licence_allows_images(self) -> bool:
        return True
