"""The standard Cityscapes tree.

``leftImg8bit/{split}/{city}/{city}_{sequence}_{frame}_leftImg8bit.png`` with, beside it and all optional, ``gtFine``,
``rightImg8bit``, ``camera`` and ``leftImg8bit_sequence``. The split folder ``val`` is called ``validation`` here, as
the Hugging Face tools do; both names are accepted. Images without ``gtFine`` are labelled all the same: ground truth is
needed for scoring and naming only.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mbps_dataset.errors import InputError
from mbps_dataset.sources.files import FileFrame
from mbps_dataset.sources.frame import Source
from mbps_dataset.sources.membership import find_files, readable


_FOLDERS = {"train": "train", "validation": "val", "test": "test"}
_IMAGE_SUFFIX = "_leftImg8bit.png"


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
        """The right-hand stereo image."""
        return self.companion("rightImg8bit", "_rightImg8bit.png")

    def camera_path(self) -> Path | None:
        """The camera file (JSON with intrinsic and extrinsic)."""
        return self.companion("camera", "_camera.json")

    def neighbour_path(self, offset: int) -> Path | None:
        """The frame `offset` steps later in ``leftImg8bit_sequence``."""
        city, sequence, number = self.image_id.rsplit("_", 2)
        name = f"{city}_{sequence}_{int(number) + offset:06d}{_IMAGE_SUFFIX}"
        path = self.root / "leftImg8bit_sequence" / self.folder / self.city / name
        return path if path.is_file() else None


class CityscapesSource(Source):
    """Images of a Cityscapes tree at `data_dir`.

    Raises `InputError` naming the folder that was looked for if there are no images.
    """

    name = "cityscapes"

    def __init__(self, data_dir: str | Path) -> None:
        self.root = Path(data_dir).expanduser()
        images = self.root / "leftImg8bit"
        if not images.is_dir():
            raise InputError(
                f"{images} does not exist; `data_dir` must be the folder that holds leftImg8bit "
                "(and gtFine, if you have it)."
            )
        self._splits = {
            split: frames for split, folder in _FOLDERS.items() if (frames := self._find(images / folder, folder))
        }
        if not self._splits:
            raise InputError(
                f"No image matches {images}/{{train,val,test}}/*/*{_IMAGE_SUFFIX}; "
                "unpack leftImg8bit_trainvaltest.zip there."
            )
        self.has_truth = any(f.label_path for frames in self._splits.values() for f in frames)

    def _find(self, image_folder: Path, folder: str) -> tuple[CityscapesFrame, ...]:
        if not image_folder.is_dir():
            return ()
        frames, found = [], find_files(image_folder, [_IMAGE_SUFFIX])
        for path in sorted((*found.paths, *found.not_utf8)):
            if path.parent.parent != image_folder:
                continue
            image_id, city = readable(path.name[: -len(_IMAGE_SUFFIX)]), path.parent.name
            truth = self.root / "gtFine" / folder / city / f"{image_id}_gtFine_labelIds.png"
            instance = truth.with_name(f"{image_id}_gtFine_instanceIds.png")
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
        times = Counter(frame.image_id for frame in frames)
        if twice := [frame for frame in frames if times[frame.image_id] > 1]:
            raise InputError(
                f"{twice[0].image_id}: {times[twice[0].image_id]} images have this name ({twice[0].path}, {twice[1].path}); "
                "names of the tree begin with their city."
            )
        return tuple(sorted(frames, key=lambda frame: frame.image_id))

    def splits(self) -> tuple[str, ...]:
        return tuple(self._splits)

    def frames(self, split: str) -> Sequence[CityscapesFrame]:
        split = "validation" if split == "val" else split
        if split not in self._splits:
            looked_for = self.root / "leftImg8bit" / _FOLDERS.get(split, split)
            raise InputError(f"No split {split!r}: {looked_for} holds no images. There is {', '.join(self._splits)}.")
        return self._splits[split]

    def describe(self) -> dict[str, Any]:
        return {"name": self.name, "data_dir": os.path.abspath(self.root)}
