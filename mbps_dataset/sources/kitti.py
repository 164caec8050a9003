"""KITTI: drives of the raw data, or the pairs of KITTI 2015 (scene flow).

Raw: ``{date}/{date}_drive_{number}_sync/image_02/data/{frame}.png`` with ``image_03`` beside ``image_02`` and
``{date}/calib_cam_to_cam.txt``; `data_dir` is the folder of dates, one date or one drive. One split, "train"; the id of a
frame is ``{drive}_{frame}``, as CUPS names its files.

KITTI 2015: ``training`` and ``testing`` with ``image_2/{scene}_10.png`` and ``_11``, ``image_3``, ``calib_cam_to_cam/
{scene}.txt``; the splits are "train" and "test", the frames those of ``_10``, whose next frame is ``_11``. Where ``training``
holds ``semantic`` and ``instance`` of KITTI's semantic benchmark, they are the truth: Cityscapes' label ids, and 16 bits of
which the lower 8 number the object, 0 being none.

Decisions: both are rectified, and the left colour camera (02, 2) is the eye that is labelled. The camera is its projection
matrix P_rect_02; the baseline is the distance of both projection centres, (P_rect_02[0, 3] - P_rect_03[0, 3]) / fx, about
0.533 m, not the rounded 0.54. An image of another size than S_rect_02 is refused.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mbps_dataset.errors import InputError
from mbps_dataset.sources.camera import Camera
from mbps_dataset.sources.class_table import truth_of
from mbps_dataset.sources.files import MAX_CAMERA_BYTES, FileFrame, read_map, sorted_by_id
from mbps_dataset.sources.frame import Source, Truth
from mbps_dataset.sources.images import read_bytes
from mbps_dataset.sources.membership import find_files, readable


_SUFFIXES = (".png", ".jpg")
_CALIBRATION = "calib_cam_to_cam"
_SPLITS_2015 = {"train": "training", "test": "testing"}
_PAIR = re.compile(r"(.+)_(10|11)")


@dataclass(frozen=True)
class KittiFrame(FileFrame):
    """A left colour image of KITTI; the right one and the calibration are paths that may not exist."""

    right: Path = Path()
    calibration: Path = Path()
    objects: Path | None = None

    def truth(self) -> Truth | None:
        found = super().truth()
        if found is None or self.objects is None:
            return found
        return truth_of(found.label_ids, read_map(self.objects) & 255, str(self.objects))

    def right_path(self) -> Path | None:
        return self.right if self.right.is_file() else None

    def camera_path(self) -> Path | None:
        return self.calibration if self.calibration.is_file() else None

    def read_camera(self, path: Path, image_hw: tuple[int, int]) -> Camera:
        return read_camera(path, image_hw)

    def neighbour(self, offset: int) -> KittiFrame | None:
        """The image whose number is `offset` larger, in as many digits."""
        before, underscore, number = self.path.stem.rpartition("_")
        moved = int(number) + offset if number.isdecimal() else -1
        name = f"{before}{underscore}{moved:0{len(number)}d}{self.path.suffix}"
        path = self.path.with_name(name)
        if not number.isdecimal() or moved < 0 or not path.is_file():
            return None
        prefix = self.image_id.removesuffix(self.path.stem)
        return KittiFrame(f"{prefix}{path.stem}", path, right=self.right.with_name(name), calibration=self.calibration)


class KittiSource(Source):
    """Frames of KITTI raw or KITTI 2015 at `data_dir`. Raises `InputError` if there are none."""

    name = "kitti"

    def __init__(self, data_dir: str | Path) -> None:
        self.root = Path(data_dir).expanduser()
        if not self.root.is_dir():
            raise InputError(f"{self.root} does not exist; give the folder of KITTI's dates, a drive, or of training.")
        found = {split: _pairs(self.root / folder) for split, folder in _SPLITS_2015.items()}
        found["train"] = found["train"] or _drives(self.root)
        self._splits = {split: sorted_by_id(frames, "keep one of them") for split, frames in found.items() if frames}
        self.has_truth = any(frame.label_path for frames in self._splits.values() for frame in frames)
        if not self._splits:
            raise InputError(
                f"{self.root} holds no KITTI images; looked for drives with image_02/data/*.png (raw) and for "
                "training/image_2/*_10.png (KITTI 2015)."
            )

    def splits(self) -> tuple[str, ...]:
        return tuple(self._splits)

    def frames(self, split: str) -> Sequence[KittiFrame]:
        if split not in self._splits:
            raise InputError(f"No split {split!r}: {self.root} has {', '.join(self._splits)}.")
        return self._splits[split]

    def describe(self) -> dict[str, Any]:
        return {"name": self.name, "data_dir": os.path.abspath(self.root)}


def _pairs(folder: Path) -> list[KittiFrame]:
    """The first images of KITTI 2015's pairs in ``training`` or ``testing``."""
    images, semantic, instance = (folder / name for name in ("image_2", "semantic", "instance"))
    if not images.is_dir():
        return []
    frames, found = [], find_files(images, _SUFFIXES)
    for path in (*found.paths, *found.not_utf8):
        pair = _PAIR.fullmatch(path.stem)
        if path.parent == images and pair and pair[2] == "10":
            calibration = folder / _CALIBRATION / f"{pair[1]}.txt"
            frames.append(
                KittiFrame(
                    readable(path.stem),
                    path,
                    semantic / path.name if semantic.is_dir() else None,
                    right=folder / "image_3" / path.name,
                    calibration=calibration,
                    objects=instance / path.name if instance.is_dir() else None,
                )
            )
    return frames


def _drives(root: Path) -> list[KittiFrame]:
    frames, found = [], find_files(root, _SUFFIXES)
    for path in (*found.paths, *found.not_utf8):
        drive = path.parent.parent.parent
        if (path.parent.parent.name, path.parent.name) != ("image_02", "data") or not path.is_relative_to(root):
            continue
        frames.append(
            KittiFrame(
                readable(f"{drive.resolve().name}_{path.stem}"),
                path,
                right=drive / "image_03" / "data" / path.name,
                calibration=drive.resolve().parent / f"{_CALIBRATION}.txt",
            )
        )
    return frames


def read_camera(path: Path, image_hw: tuple[int, int]) -> Camera:
    """The left colour camera in a ``calib_cam_to_cam.txt``, for an image of `image_hw`. Raises `InputError` naming the file."""
    text = read_bytes(path, str(path), at_most=MAX_CAMERA_BYTES).decode("utf-8", "replace")
    lines = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    (fx, _, cx, left, _, fy, cy, *_), (_, _, _, right, *_) = (
        _numbers(path, lines, key, 12) for key in ("P_rect_02", "P_rect_03")
    )
    try:
        camera = Camera(fx, fy, cx, cy, (left - right) / fx if fx else 0.0, image_hw)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    width, height = _numbers(path, lines, "S_rect_02", 2)
    if (height, width) != image_hw:
        raise InputError(
            f"{path}: is of images of {width:g}x{height:g}, but the image is {image_hw[1]}x{image_hw[0]}; give the images "
            "as KITTI has them."
        )
    return camera


def _numbers(path: Path, lines: dict[str, str], key: str, count: int) -> list[float]:
    try:
        numbers = [float(word) for word in lines[key].split()]
    except (KeyError, ValueError):
        numbers = []
    if len(numbers) != count:
        raise InputError(f"{path}: no {count} numbers after {key}; give KITTI's calibration file of the cameras.")
    return numbers
