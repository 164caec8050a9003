"""Rendered scenes that are kept in memory: an ablation asks for the same image many times, and rendering one again costs
more than most stages do. Images read from files are not kept; the operating system does that better."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mbps_dataset.arrays import RGBImage
from mbps_dataset.sources import Camera, Frame, Source, Truth
from mbps_dataset.sources.frame import FrameHas


MOST_KEPT = 64
"""Scenes of a split that are kept, some 6 MB each; the others are rendered again."""


class KeptFrame(Frame):
    """A frame whose image and truth are made once."""

    def __init__(self, frame: Frame) -> None:
        self.image_id, self._frame = frame.image_id, frame
        self._image: RGBImage | None = None
        self._truth: Truth | None = None

    def image_bytes(self) -> bytes:
        return self._frame.image_bytes()

    def digest(self) -> str:
        return self._frame.digest()

    def image(self) -> RGBImage:
        if self._image is None:
            self._image = self._frame.image()
        return self._image

    @property
    def has_truth(self) -> bool:
        return self._frame.has_truth

    def truth(self) -> Truth | None:
        if self._truth is None:
            self._truth = self._frame.truth()
        return self._truth

    def has(self) -> FrameHas:
        return self._frame.has()

    def second_eye(self) -> RGBImage | None:
        return self._frame.second_eye()

    def second_eye_digest(self) -> str | None:
        return self._frame.second_eye_digest()

    def neighbour(self, offset: int) -> Frame | None:
        return self._frame.neighbour(offset)

    def camera(self) -> Camera | None:
        return self._frame.camera()

    def camera_digest(self) -> str | None:
        return self._frame.camera_digest()


class KeptScenes(Source):
    """`source` with its first frames kept; other processes open the source itself, by its description."""

    def __init__(self, source: Source) -> None:
        self.name, self.has_truth, self._source = source.name, source.has_truth, source
        self._frames: dict[str, tuple[Frame, ...]] = {}

    def splits(self) -> tuple[str, ...]:
        return self._source.splits()

    def frames(self, split: str) -> Sequence[Frame]:
        if split not in self._frames:
            frames = self._source.frames(split)
            self._frames[split] = (*map(KeptFrame, frames[:MOST_KEPT]), *frames[MOST_KEPT:])
        return self._frames[split]

    def describe(self) -> dict[str, Any]:
        return self._source.describe()

    def licence_allows_images(self) -> bool:
        return self._source.licence_allows_images()
