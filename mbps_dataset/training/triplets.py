"""What the depth network learns from: three neighbouring frames of a video and the camera's intrinsics. Nothing else.

Decisions and where they come from:

1. The type has room for four arrays only, so that no label, depth or instance map can travel with them (ours).
2. Frames are resized with LANCZOS and the intrinsics follow them (SPIdepth reference code). The principal point is
   kept for integer pixel centres, ``c' = (c + 0.5) * scale - 0.5`` (ours; the reference scales ``c`` itself and is
   off by up to half a pixel).
3. A mirrored triplet mirrors its principal point too (ours; the reference assumes a centred one).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from mbps_dataset.arrays import RGBImage


@dataclass(frozen=True)
class VideoTriplet:
    """Frames -1, 0 and +1 of one camera, each [H, W, 3] uint8 RGB, and the intrinsics [3, 3] in pixels.

    Raises `ValueError` if frames differ in size or are not RGB bytes, or if intrinsics are not a 3x3 matrix.
    """

    previous: RGBImage
    current: RGBImage
    next: RGBImage
    intrinsics: NDArray[np.float64]

    def __post_init__(self) -> None:
        shapes = [np.shape(frame) for frame in (self.previous, self.current, self.next)]
        if len(set(shapes)) != 1 or len(shapes[0]) != 3 or shapes[0][2] != 3:
            raise ValueError(f"Expected three RGB frames of one size [H, W, 3], but got {shapes}; resize them alike.")
        if any(frame.dtype != np.uint8 for frame in (self.previous, self.current, self.next)):
            raise ValueError("Expected frames of dtype uint8, values 0 to 255; convert them first.")
        if np.shape(self.intrinsics) != (3, 3):
            raise ValueError(
                f"Expected intrinsics of shape (3, 3), but got {np.shape(self.intrinsics)}; "
                "pass [[fx, 0, cx], [0, fy, cy], [0, 0, 1]]."
            )

    def resized(self, height: int, width: int) -> VideoTriplet:
        """The same moment at another size: LANCZOS, intrinsics scaled."""
        old_height, old_width = self.current.shape[:2]
        previous, current, after = (
            _resize(frame, height, width) for frame in (self.previous, self.current, self.next)
        )
        intrinsics = np.array(self.intrinsics, dtype=np.float64)
        for row, scale in enumerate((width / old_width, height / old_height)):
            intrinsics[row, :2] *= scale
            intrinsics[row, 2] = (intrinsics[row, 2] + 0.5) * scale - 0.5
        return VideoTriplet(previous, current, after, intrinsics)


class Triplets(Sequence[VideoTriplet], ABC):
    """Triplets by number, each made when it is asked for; a subclass says how many there are and makes one."""

    @abstractmethod
    def triplet(self, index: int) -> VideoTriplet:
        """The triplet of this number, from 0."""

    @overload
    def __getitem__(self, index: int) -> VideoTriplet: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[VideoTriplet]: ...
    def __getitem__(self, index: int | slice) -> VideoTriplet | Sequence[VideoTriplet]:
        if isinstance(index, slice):
            return [self.triplet(k) for k in range(*index.indices(len(self)))]
        return self.triplet(range(len(self))[index])


@dataclass
class TripletBatch:
    """Triplets as tensors: frames [B, 3, 3, H, W] in [0, 1] (previous, current, next), intrinsics [B, 3, 3]."""

    frames: Tensor
    intrinsics: Tensor

    @classmethod
    def of(cls, triplets: Sequence[VideoTriplet], device: torch.device | str = "cpu") -> TripletBatch:
        """Stack triplets of one size."""
        frames = np.stack([np.stack([t.previous, t.current, t.next]) for t in triplets])
        intrinsics = np.stack([t.intrinsics for t in triplets]).astype(np.float32)
        pixels = torch.from_numpy(frames).to(device).permute(0, 1, 4, 2, 3).float() / 255
        return cls(pixels.contiguous(), torch.from_numpy(intrinsics).to(device))

    def mirrored(self, chosen: Tensor) -> TripletBatch:
        """Left and right exchanged, the principal point included, where ``chosen`` [B] bool is true."""
        frames = torch.where(chosen[:, None, None, None, None], self.frames.flip(-1), self.frames)
        intrinsics = self.intrinsics.clone()
        intrinsics[chosen, 0, 2] = self.frames.shape[-1] - 1 - intrinsics[chosen, 0, 2]
        return TripletBatch(frames, intrinsics)

    def shrunk(self, factor: int) -> TripletBatch:
        """Frames averaged over ``factor`` x ``factor`` pixels, intrinsics to match; what does not fit is cut off."""
        if factor == 1:
            return self
        batch, count = self.frames.shape[:2]
        frames = F.avg_pool2d(self.frames.flatten(0, 1), factor).unflatten(0, (batch, count))
        intrinsics = self.intrinsics.clone()
        intrinsics[:, :2] /= factor
        intrinsics[:, :2, 2] += 0.5 / factor - 0.5
        return TripletBatch(frames, intrinsics)


class ShuffledOrder:
    """Endless shuffled passes over ``count`` triplets; its state travels with a training checkpoint.

    Draws from torch's default generator.
    """

    def __init__(self, count: int) -> None:
        if count < 1:
            raise ValueError("Expected at least one triplet to train on, but got none.")
        self.count = count
        self.waiting = torch.empty(0, dtype=torch.long)

    def take(self, number: int) -> list[int]:
        """Indices of the next ``number`` triplets."""
        while len(self.waiting) < number:
            self.waiting = torch.cat([self.waiting, torch.randperm(self.count)])
        taken, self.waiting = self.waiting[:number], self.waiting[number:]
        return taken.tolist()

    def state_dict(self) -> dict[str, Any]:
        return {"waiting": self.waiting.clone()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.waiting = state["waiting"].clone()


def _resize(frame: RGBImage, height: int, width: int) -> RGBImage:
    if frame.shape[:2] == (height, width):
        return frame
    return np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.LANCZOS))
