"""What training may see of a source: images, and video triplets with the camera's intrinsics. Nothing else exists here.

Labels, depth and instance maps of a frame sit behind `Frame.truth`, which this file never calls (a test reads its
source text).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mbps_dataset.arrays import RGBImage
from mbps_dataset.errors import InputError
from mbps_dataset.models.spidepth import SPIdepth
from mbps_dataset.sources import Frame, Source
from mbps_dataset.stages.depth import predict, prepare
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


class PredictedDepths:
    """Depth of training pictures by a SPIdepth network, predicted once each and kept: float32 [h, w], by number."""

    def __init__(self, pictures: Sequence[RGBImage] | SourcePictures, network: SPIdepth) -> None:
        self.pictures, self.network = pictures, network
        self._kept: dict[int, NDArray[np.float32]] = {}

    def __getitem__(self, index: int, /) -> NDArray[np.float32]:
        if index not in self._kept:
            config = self.network.config
            device = next(self.network.parameters()).device
            prepared = prepare(self.pictures[index], height=config.height, width=config.width).to(device)
            self._kept[index] = predict(self.network, prepared).float().cpu().numpy()
        return self._kept[index]


class SourceTriplets(Triplets):
    """Frames −1, 0, +1 and intrinsics of a split, resized to the network's input, one triplet in memory at a time.

    Rendered scenes, KITTI, stereo folders and Cityscapes with ``leftImg8bit_sequence`` and ``camera`` have them; images
    without both neighbours or a camera are left out. Raises `InputError` saying what is missing if none is left.
    """

    def __init__(self, source: Source, split: str, height: int, width: int) -> None:
        self.height, self.width = height, width
        self.frames = [frame for frame in source.frames(split) if _is_complete(frame)]
        if not self.frames:
            raise InputError(
                f"{source.name} {split}: no image has both neighbours and a camera file; training depth needs "
                "leftImg8bit_sequence and camera of Cityscapes beside leftImg8bit, KITTI, a stereo folder or rendered scenes."
            )

    def __len__(self) -> int:
        return len(self.frames)

    def triplet(self, index: int) -> VideoTriplet:
        """Frame `index` between its neighbours, read now. Raises `InputError` if a file of it is unusable or has gone."""
        frame = self.frames[index]
        before, after, camera = frame.neighbour(-1), frame.neighbour(1), frame.camera()
        if before is None or after is None or camera is None:
            raise InputError(
                f"{frame.image_id}: a file of its triplet has gone since the folder was listed; start again."
            )
        triplet = VideoTriplet(before.image(), frame.image(), after.image(), camera.intrinsics)
        return triplet.resized(self.height, self.width)


def _is_complete(frame: Frame) -> bool:
    return frame.has().camera and frame.neighbour(-1) is not None and frame.neighbour(1) is not None
