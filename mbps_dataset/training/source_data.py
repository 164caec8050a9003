"""What training may see of a source: images, and video triplets with the camera's intrinsics. Nothing else exists here.

Labels, depth and instance maps of a frame sit behind `Frame.truth`, which this file never calls (a test reads its
source text).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mbps_dataset.arrays import RGBImage
from mbps_dataset.errors import InputError
from mbps_dataset.reading.image_files import decode_image
from mbps_dataset.scenes import render_triplet
from mbps_dataset.sources import CityscapesSource, Frame, ScenesSource, Source
from mbps_dataset.sources.cityscapes import CityscapesFrame
from mbps_dataset.sources.images import read_bytes
from mbps_dataset.sources.rendered import SceneFrame
from mbps_dataset.stages.semantics import resize_for_windows
from mbps_dataset.training.triplets import Triplets, VideoTriplet


@dataclass(frozen=True)
class SourcePictures:
    """Images of a split as the semantic network sees them: uint8 [h, w, 3], short side `short_side`, one at a time."""

    frames: Sequence[Frame]
    short_side: int = 322
    patch: int = 14

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> RGBImage:
        return resize_for_windows(self.frames[index].image(), short_side=self.short_side, patch=self.patch)


class SourceTriplets(Triplets):
    """Frames −1, 0, +1 and intrinsics of a split, resized to the network's input, one triplet in memory at a time.

    Rendered scenes and Cityscapes with ``leftImg8bit_sequence`` and ``camera`` have them; images without both
    neighbours are left out. Raises `InputError` saying what is missing if none is left.
    """

    def __init__(self, source: Source, split: str, height: int, width: int) -> None:
        self.height, self.width = height, width
        if isinstance(source, ScenesSource):
            self.frames: list[Frame] = list(source.frames(split))
        elif isinstance(source, CityscapesSource):
            self.frames = [f for f in source.frames(split) if _is_complete(f)]
        else:
            self.frames = []
        if not self.frames:
            raise InputError(
                f"{source.name} {split}: no image has both neighbours and a camera file; training depth needs "
                "leftImg8bit_sequence and camera of Cityscapes beside leftImg8bit, or rendered scenes."
            )

    def __len__(self) -> int:
        return len(self.frames)

    def triplet(self, index: int) -> VideoTriplet:
        """Frame `index` between its neighbours, read now. Raises `InputError` if one of them cannot be read."""
        frame = self.frames[index]
        triplet = _rendered(frame) if isinstance(frame, SceneFrame) else _recorded(frame)
        return triplet.resized(self.height, self.width)


def _is_complete(frame: CityscapesFrame) -> bool:
    return all((frame.camera_path(), frame.neighbour_path(-1), frame.neighbour_path(1)))


def _rendered(frame: SceneFrame) -> VideoTriplet:
    before, now, after = render_triplet(frame.seed, frame.settings)
    return VideoTriplet(before.image, now.image, after.image, now.intrinsics.matrix())


def _recorded(frame: Frame) -> VideoTriplet:
    assert isinstance(frame, CityscapesFrame)
    before, after = _read(frame.neighbour_path(-1)), _read(frame.neighbour_path(1))
    return VideoTriplet(before, frame.image(), after, read_intrinsics(frame.camera_path()))


def _read(path: Path | None) -> RGBImage:
    if path is None:
        raise InputError("A neighbouring frame has gone since the folder was listed; start again.")
    return decode_image(read_bytes(path, str(path)), str(path))


def read_intrinsics(path: Path | None) -> NDArray[np.float64]:
    """Intrinsic matrix [3, 3] in pixels of a Cityscapes camera file. Raises `InputError` naming the file."""
    try:
        camera = json.loads(Path(str(path)).read_text(encoding="utf-8"))["intrinsic"]
        return np.array(
            [[camera["fx"], 0, camera["u0"]], [0, camera["fy"], camera["v0"]], [0, 0, 1]], dtype=np.float64
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not a Cityscapes camera file ({error}).") from None
