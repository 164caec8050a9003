"""What data sets of files have in common: a folder of images, splits, and a label file for each image.

A reader says in one file where its files lie (`LabelledSource.find`) and what they mean (`LabelledSource.read`); everything
else is here. Decisions (ours):

* a split that has labels has them for every image: a label file that is missing is an error naming it, once the truth is
  asked for, and not one image less;
* the splits are called train, validation and test, whatever the data set calls them;
* labels of another size than the image are an error.
"""

from __future__ import annotations

import os
from abc import abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mbps_dataset.errors import InputError
from mbps_dataset.reading.image_files import image_hw, opened_image
from mbps_dataset.sources.files import FileFrame, sorted_by_id
from mbps_dataset.sources.frame import FrameHas, Source, Truth
from mbps_dataset.sources.images import IMAGE_SUFFIXES, read_bytes
from mbps_dataset.sources.membership import find_files, readable


SPLITS = {"train": "train", "training": "train", "val": "validation", "validation": "validation",
          "test": "test", "testing": "test"}  # fmt: skip
"""Our names of the splits by those that data sets give them."""


@dataclass(frozen=True)
class LabelledFrame(FileFrame):
    """An image with, perhaps, the file that `read` makes its truth from; `video` frames are numbered in their folder."""

    read: Callable[[LabelledFrame], Truth] | None = field(default=None, compare=False, repr=False)
    video: bool = False

    def truth(self) -> Truth | None:
        if self.label_path is None or self.read is None:
            return None
        found = self.read(self)
        height, width = found.label_ids.shape
        if (size := image_hw(self.image_bytes(), str(self.path))) != (height, width):
            raise InputError(
                f"{self.label_path}: {width}x{height}, but the image {self.image_id} is {size[1]}x{size[0]}; give the labels of "
                "that image."
            )
        return found

    def has(self) -> FrameHas:
        return FrameHas(next_frame=self.neighbour(1) is not None)

    def neighbour(self, offset: int) -> LabelledFrame | None:
        """The image of the same folder whose number is `offset` larger, in as many digits; it comes without truth."""
        number = self.path.stem
        if not self.video or not number.isdecimal() or int(number) + offset < 0:
            return None
        path = self.path.with_name(f"{int(number) + offset:0{len(number)}d}{self.path.suffix}")
        image_id = f"{self.image_id.removesuffix(number)}{path.stem}"
        return replace(self, image_id=image_id, path=path, label_path=None) if path.is_file() else None


class LabelledSource(Source):
    """Images and labels of a data set at `data_dir`. Raises `InputError`, saying what was looked for, if there are none."""

    layout: str
    """What `data_dir` holds, for the message where it does not."""
    video = False

    def __init__(self, data_dir: str | Path) -> None:
        self.root = Path(data_dir).expanduser()
        if not self.root.is_dir():
            raise InputError(f"{self.root} does not exist; give the folder that holds {self.layout}.")
        by_split: dict[str, list[LabelledFrame]] = defaultdict(list)
        for split, frame in self.find():
            by_split[split].append(frame)
        found = {split: by_split[split] for split in ("train", "validation", "test", *by_split) if by_split.get(split)}
        self._splits = {split: sorted_by_id(frames, "keep one of them") for split, frames in found.items()}
        if not self._splits:
            raise InputError(f"{self.root} holds no images of {self.name}; looked for {self.layout}.")
        self.has_truth = any(frame.label_path for frames in self._splits.values() for frame in frames)

    @abstractmethod
    def find(self) -> Iterable[tuple[str, LabelledFrame]]:
        """Split and frame of every image, in any order; frames are made by `frame`."""

    @abstractmethod
    def read(self, frame: LabelledFrame) -> Truth:
        """The truth in the files of a frame. Raises `InputError` naming the file."""

    def frame(self, image_id: str, path: Path, label_path: Path | None) -> LabelledFrame:
        """A frame whose truth `read` makes; `label_path` None where the split has no labels."""
        return LabelledFrame(image_id, path, label_path, read=self.read, video=self.video)

    def frames_below(self, images: Path, labels: Path) -> Iterator[LabelledFrame]:
        """A frame for every image below `images`, labelled by the PNG of the same path below `labels`, if there is that folder."""
        for image_id, path in images_below(images):
            yield self.frame(image_id, path, labels / f"{image_id}.png" if labels.is_dir() else None)

    def splits(self) -> tuple[str, ...]:
        return tuple(self._splits)

    def frames(self, split: str) -> Sequence[LabelledFrame]:
        name = SPLITS.get(split, split)
        if name not in self._splits:
            raise InputError(f"No split {split!r}: {self.root} has {', '.join(self._splits)}.")
        return self._splits[name]

    def describe(self) -> dict[str, Any]:
        return {"name": self.name, "data_dir": os.path.abspath(self.root)}


def images_below(folder: Path, suffixes: Sequence[str] = IMAGE_SUFFIXES) -> Iterator[tuple[str, Path]]:
    """Id (the path below `folder` without suffix) and path of every image below a folder; none if there is no folder."""
    if folder.is_dir():
        found = find_files(folder, suffixes)
        for path in (*found.paths, *found.not_utf8):
            yield readable(path.relative_to(folder).with_suffix("")), path


def read_colours(path: Path, mode: str) -> NDArray[np.uint8]:
    """A PNG of `mode` "RGB" or "RGBA" as uint8 [H, W, 3 or 4]. Raises `InputError` naming the file if it has other channels."""
    with opened_image(read_bytes(path, str(path)), str(path), ("PNG",), "not a PNG file") as image:
        if image.mode != mode:
            raise InputError(f"{path}: its pixels are {image.mode}, and labels of this data set are {mode}; give the file as it is "
                             "published.")  # fmt: skip
        return np.array(image)
