"""One image of a source, and what may be known about it.

A `Frame` reads nothing until asked. Ground truth sits behind `Frame.truth` only, so that code which must not see labels
never touches an object that holds them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mbps_dataset.arrays import DepthMap, RGBImage
from mbps_dataset.reading.image_files import decode_image
from mbps_dataset.sources.camera import Camera


@dataclass(frozen=True)
class Truth:
    """Ground truth of one image, in Cityscapes' encoding.

    `label_ids` uint8 [H, W], 0–33; `instance_ids` int32 [H, W]: ``label_id`` where there is no instance,
    ``label_id * 1000 + k`` for the k-th instance; `depth_m` float32 [H, W] metres (0 = unknown) or None; `moving_ids` those
    of the instance ids whose objects move by themselves, or None where that is not known.
    """

    label_ids: NDArray[np.uint8]
    instance_ids: NDArray[np.int32]
    depth_m: DepthMap | None = None
    moving_ids: frozenset[int] | None = None


class FrameHas(NamedTuple):
    """What a frame has beside its image, as far as can be told without reading a file."""

    second_eye: bool = False
    next_frame: bool = False
    camera: bool = False


class Frame(ABC):
    """One image of a source.

    `image_id` is unique within the source and split, and may hold any character; `image_bytes` are the bytes of an
    image file exactly as they exist (or would be written); `digest` identifies those bytes without reading them twice.
    The image is the left eye's where there are two. What `has` says is there may still turn out to be unreadable.
    """

    image_id: str

    @abstractmethod
    def image_bytes(self) -> bytes:
        """The image file. Raises `InputError` if it cannot be read."""

    @abstractmethod
    def digest(self) -> str:
        """Hex digest that changes when the image's content changes, and only then."""

    def image(self) -> RGBImage:
        """Decoded, upright image: uint8 [H, W, 3]. Raises `InputError` naming the image if it cannot be decoded."""
        return decode_image(self.image_bytes(), self.image_id)

    @property
    def has_truth(self) -> bool:
        """Whether `truth` gives any; frames that can tell without reading it do."""
        return self.truth() is not None

    def truth(self) -> Truth | None:
        """Ground truth, or None if the source has none for this image. Raises `InputError` if it is unusable."""
        return None

    def has(self) -> FrameHas:
        """What there is beside the image; looks for files, and reads none."""
        return FrameHas()

    def second_eye(self) -> RGBImage | None:
        """What the right eye saw at the same moment, uint8 [H, W, 3], or None. Raises `InputError` if it is unusable."""
        return None

    def second_eye_digest(self) -> str | None:
        """As `digest`, of the right eye's image; None where there is none."""
        return None

    def neighbour(self, offset: int) -> Frame | None:
        """The frame `offset` steps later in the same sequence (earlier if negative), or None where the sequence ends."""
        return None

    def next_frame(self) -> Frame | None:
        """The frame that follows in the same sequence, or None at its end."""
        return self.neighbour(1)

    def camera(self) -> Camera | None:
        """The camera in pixels of this image, or None if it is not known. Raises `InputError` if its file is unusable."""
        return None

    def camera_digest(self) -> str | None:
        """Hex digest that changes with what `camera` was read from; None where there is none."""
        return None


class Source(ABC):
    """Images in named splits. `describe` holds what `open_source` needs to open the same source again, JSON-ready."""

    name: str
    has_truth: bool = False
    left_out: Mapping[str, int] = {}
    """Pictures of types that are not read, counted by suffix."""

    @abstractmethod
    def splits(self) -> tuple[str, ...]:
        """Names of the splits that exist, "train" first."""

    @abstractmethod
    def frames(self, split: str) -> Sequence[Frame]:
        """Frames of a split in a fixed order, sorted by `image_id`."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Arguments for `mbps_dataset.sources.open_source`, JSON-ready; paths absolute, but with links as typed."""

    def licence_allows_images(self) -> bool:
        """Whether the images may be redistributed. Unknown counts as no."""
        return False
