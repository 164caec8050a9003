"""The standard Cityscapes tree.

``leftImg8bit/{split}/{city}/{city}_{sequence}_{frame}_leftImg8bit.png`` with, beside it and all optional, ``gtFine``,
``rightImg8bit``, ``camera``, ``leftImg8bit_sequence`` and ``rightImg8bit_sequence``. The split folder ``val`` is called
``validation`` here, as the Hugging Face tools do; both names are accepted. Images without ``gtFine`` are labelled all the
same: ground truth is needed for scoring and naming only. With ``coarse`` it is ``gtCoarse``, and the images of
``train_extra``, which have no other, are a split of that name. With ``sequence`` all frames of ``leftImg8bit_sequence`` are
listed in place of every thirtieth (CUPS labels all of the training split).

A frame's camera file is its own, or the nearest of the same sequence up to 20 frames away (CUPS' code). It is of the
original size, 2048x1024, and does not say so: what it means for resized images is checked by its principal point, which
must lie within the middle 40 % of the image.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mbps_dataset.errors import InputError
from mbps_dataset.reading.json_documents import read_json
from mbps_dataset.sources.camera import Camera
from mbps_dataset.sources.files import MAX_CAMERA_BYTES, FileFrame, sorted_by_id
from mbps_dataset.sources.frame import Source
from mbps_dataset.sources.membership import find_files, readable


_FOLDERS = {"train": "train", "validation": "val", "test": "test", "train_extra": "train_extra"}
_IMAGE_SUFFIX = "_leftImg8bit.png"
_CAMERA_SUFFIX = "_camera.json"

CAMERA_WITHIN_FRAMES = 20
"""Frames between an image and the camera file that serves for it (CUPS' code)."""


@dataclass(frozen=True)
class CityscapesFrame(FileFrame):
    """A Cityscapes image; the other views are paths that may not exist."""

    root: Path = Path()
    folder: str = ""
    city: str = ""

    def companion(self, tree: str, suffix: str) -> Path | None:
        """``root/tree/split/city/{image_id}{suffix}`` if it exists, e.g. ``("camera", "_camera.json")``."""
        path = self.root / tree / self.folder / self.city / f"{self.image_id}{suffix}"
        return path if path.is_file() else None

    def right_path(self) -> Path | None:
        """The right-hand stereo image, of the pairs or of the sequences."""
        pair = self.companion("rightImg8bit", "_rightImg8bit.png")
        return pair or self.companion("rightImg8bit_sequence", "_rightImg8bit.png")

    def camera_path(self) -> Path | None:
        """The camera file (JSON with intrinsic and extrinsic), the nearest of the sequence where it has none of its own."""
        own = self.companion("camera", _CAMERA_SUFFIX)
        folder = self.root / "camera" / self.folder / self.city
        if own is not None or not folder.is_dir():
            return own
        sequence, number = self.image_id.rsplit("_", 1)
        near = {}
        for path in find_files(folder, [_CAMERA_SUFFIX]).paths:
            its_sequence, _, its_number = path.name.removesuffix(_CAMERA_SUFFIX).rpartition("_")
            if its_sequence == sequence and its_number.isdecimal() and number.isdecimal():
                near[abs(int(its_number) - int(number)), path.name] = path
        return near[min(near)] if near and min(near)[0] <= CAMERA_WITHIN_FRAMES else None

    def read_camera(self, path: Path, image_hw: tuple[int, int]) -> Camera:
        return read_camera(path, image_hw)

    def neighbour(self, offset: int) -> CityscapesFrame | None:
        """The frame `offset` steps later in ``leftImg8bit_sequence``."""
        sequence, _, number = self.image_id.rpartition("_")
        if not number.isdecimal():
            return None
        image_id = f"{sequence}_{int(number) + offset:06d}"
        path = self.root / "leftImg8bit_sequence" / self.folder / self.city / f"{image_id}{_IMAGE_SUFFIX}"
        return (
            replace(self, image_id=image_id, path=path, label_path=None, instance_path=None)
            if path.is_file()
            else None
        )


def read_camera(path: Path, image_hw: tuple[int, int]) -> Camera:
    """The camera in a Cityscapes camera file, in pixels of an image of `image_hw`. Raises `InputError` naming the file."""
    try:
        document = read_json(path, most_bytes=MAX_CAMERA_BYTES)
        inner, baseline = document["intrinsic"], float(document["extrinsic"]["baseline"])
        fx, fy, u0, v0 = (float(inner[name]) for name in ("fx", "fy", "u0", "v0"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not a Cityscapes camera file ({error!r}); copy it again.") from None
    try:
        camera = Camera(fx, fy, u0, v0, baseline, image_hw)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    height, width = image_hw
    if not (0.3 * width <= u0 <= 0.7 * width and 0.3 * height <= v0 <= 0.7 * height):
        raise InputError(
            f"{path}: its principal point ({u0:g}, {v0:g}) is not near the middle of an image of {width}x{height}; give "
            "images of the size that the camera file is of (Cityscapes: 2048x1024)."
        )
    return camera


class CityscapesSource(Source):
    """Images of a Cityscapes tree at `data_dir`; with `sequence` all those of ``leftImg8bit_sequence``, with `coarse` labels.

    Raises `InputError` naming the folder that was looked for if there are no images.
    """

    name = "cityscapes"

    def __init__(self, data_dir: str | Path, sequence: bool = False, coarse: bool = False) -> None:
        self.root, self.sequence, self.coarse = Path(data_dir).expanduser(), sequence, coarse
        self._images = images = self.root / ("leftImg8bit_sequence" if sequence else "leftImg8bit")
        if not images.is_dir():
            raise InputError(
                f"{images} does not exist; `data_dir` must be the folder that holds {images.name}"
                + ("." if sequence else " (and gtFine, if you have it)." + self._sequences_instead())
            )
        self._splits = {
            split: frames for split, folder in _FOLDERS.items() if (frames := self._find(images / folder, folder))
        }
        if not self._splits:
            raise InputError(
                f"No image matches {images}/{{train,val,test}}/*/*{_IMAGE_SUFFIX}; "
                f"unpack {images.name}_trainvaltest.zip there."
            )
        self.has_truth = any(f.label_path for frames in self._splits.values() for f in frames)

    def _sequences_instead(self) -> str:
        """What to do where the tree holds the sequences alone."""
        there = (self.root / "leftImg8bit_sequence").is_dir()
        return " It holds leftImg8bit_sequence: give --source-option sequence=true." if there else ""

    def _find(self, image_folder: Path, folder: str) -> tuple[CityscapesFrame, ...]:
        if not image_folder.is_dir():
            return ()
        frames, found = [], find_files(image_folder, [_IMAGE_SUFFIX])
        for path in sorted((*found.paths, *found.not_utf8)):
            if path.parent.parent != image_folder:
                continue
            image_id, city = readable(path.name[: -len(_IMAGE_SUFFIX)]), path.parent.name
            kind = "gtCoarse" if self.coarse else "gtFine"
            truth = self.root / kind / folder / city / f"{image_id}_{kind}_labelIds.png"
            instance = truth.with_name(f"{image_id}_{kind}_instanceIds.png")
            frames.append(
                CityscapesFrame(
                    image_id=image_id,
                    path=path,
                    label_path=truth if truth.is_file() else None,
                    instance_path=instance if instance.is_file() else None,
                    root=self.root,
                    folder=folder,
                    city=city,
                )
            )
        return sorted_by_id(frames, "names of the tree begin with their city")

    def splits(self) -> tuple[str, ...]:
        return tuple(self._splits)

    def frames(self, split: str) -> Sequence[CityscapesFrame]:
        split = "validation" if split == "val" else split
        if split not in self._splits:
            looked_for = self._images / _FOLDERS.get(split, split)
            raise InputError(f"No split {split!r}: {looked_for} holds no images. There is {', '.join(self._splits)}.")
        return self._splits[split]

    def describe(self) -> dict[str, Any]:
        chosen = {name: True for name in ("sequence", "coarse") if getattr(self, name)}
        return {"name": self.name, "data_dir": os.path.abspath(self.root), **chosen}
