"""Frames that are files on disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from mbps_dataset import taxonomy
from mbps_dataset.arrays import RGBImage
from mbps_dataset.errors import InputError
from mbps_dataset.reading.image_files import MAX_FILE_BYTES, decode_image, decode_map, image_hw
from mbps_dataset.sources.camera import Camera
from mbps_dataset.sources.frame import Frame, FrameHas, Truth
from mbps_dataset.sources.images import DIGESTS, read_bytes


MAX_CAMERA_BYTES = 100_000
"""Of a camera or calibration file; they have about a thousand."""

AnyFrame = TypeVar("AnyFrame", bound="FileFrame")


@dataclass(frozen=True)
class FileFrame(Frame):
    """An image file with, perhaps, Cityscapes-style label and instance maps beside it."""

    image_id: str
    path: Path
    label_path: Path | None = None
    instance_path: Path | None = None

    def image_bytes(self) -> bytes:
        return read_bytes(self.path, str(self.path))

    def image(self) -> RGBImage:
        return decode_image(self.image_bytes(), str(self.path))

    def digest(self) -> str:
        return DIGESTS.digest(self.path, at_most=MAX_FILE_BYTES)

    @property
    def has_truth(self) -> bool:
        return self.label_path is not None

    def truth(self) -> Truth | None:
        if self.label_path is None:
            return None
        labels = read_label_ids(self.label_path)
        instances = labels.astype(np.int32)
        if self.instance_path is not None:
            instances = read_map(self.instance_path).astype(np.int32)
        if instances.shape != labels.shape:
            raise InputError(
                f"{self.instance_path}: {_size(instances)}, but {self.label_path.name} is {_size(labels)}; "
                "both must have the size of the image."
            )
        height, width = image_hw(self.image_bytes(), str(self.path))
        if labels.shape != (height, width):
            raise InputError(
                f"{self.label_path}: {_size(labels)}, but the image {self.image_id} is {width}x{height}; "
                "give the label map of that image."
            )
        return Truth(label_ids=labels, instance_ids=instances)

    def has(self) -> FrameHas:
        return FrameHas(self.right_path() is not None, self.neighbour(1) is not None, self.camera_path() is not None)

    def right_path(self) -> Path | None:
        """The right eye's image file, if it exists."""
        return None

    def second_eye(self) -> RGBImage | None:
        path = self.right_path()
        return None if path is None else decode_image(read_bytes(path, str(path)), str(path))

    def second_eye_digest(self) -> str | None:
        path = self.right_path()
        return None if path is None else DIGESTS.digest(path, at_most=MAX_FILE_BYTES)

    def camera_path(self) -> Path | None:
        """The file that the camera is read from, if it exists."""
        return None

    def read_camera(self, path: Path, image_hw: tuple[int, int]) -> Camera:
        """The camera in the file that `camera_path` names. Raises `InputError` naming the file."""
        raise NotImplementedError(f"{type(self).__name__} names camera files, but does not say how to read them.")

    def camera(self) -> Camera | None:
        path = self.camera_path()
        if path is None:
            return None
        height, width = self.image().shape[:2]
        return self.read_camera(path, (height, width))

    def camera_digest(self) -> str | None:
        path = self.camera_path()
        return None if path is None else DIGESTS.digest(path, at_most=MAX_CAMERA_BYTES)


def sorted_by_id(frames: Sequence[AnyFrame], advice: str) -> tuple[AnyFrame, ...]:
    """Frames by id. Raises `InputError` with the `advice`, a clause, if two of them have the same."""
    times = Counter(frame.image_id for frame in frames)
    if twice := [frame for frame in frames if times[frame.image_id] > 1]:
        first, second, *_ = twice
        raise InputError(
            f"{first.image_id}: {times[first.image_id]} images have this name ({first.path}, {second.path}); {advice}."
        )
    return tuple(sorted(frames, key=lambda frame: frame.image_id))


def read_map(path: Path) -> np.ndarray:
    """An 8- or 16-bit single-channel PNG as an integer array [H, W]. Raises `InputError`."""
    return decode_map(read_bytes(path, str(path)), str(path))


def read_label_ids(path: Path) -> NDArray[np.uint8]:
    """A map of Cityscapes' label ids, uint8 [H, W] of 0-33; 255 is read as 0. Raises `InputError` for other ids."""
    label_ids = read_map(path)
    if label_ids.max() >= len(taxonomy.CITYSCAPES) and not (label_ids[label_ids >= 34] == taxonomy.VOID).all():
        raise InputError(
            f"{path}: label {int(label_ids.max())} is not a Cityscapes label id (0-33); "
            "give label ids, not train ids or colours."
        )
    return np.where(label_ids == taxonomy.VOID, 0, label_ids).astype(np.uint8)


def _size(array: np.ndarray) -> str:
    return f"{array.shape[1]}x{array.shape[0]}"
