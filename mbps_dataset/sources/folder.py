"""Any folder of photographs.

PNG, JPEG and WebP files anywhere below a folder (or one file) become one split, "train". The id of an image is its path
below the folder without the suffix; where two files would share an id, both keep their suffix. Ground truth is
optional: a folder `truth_dir` with, for the image ``a/b.jpg``, ``a/b_labelIds.png`` or ``a/b.png`` (Cityscapes label
ids) and perhaps ``a/b_instanceIds.png``. Links are followed to files, never to folders, so a loop cannot hang the scan.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mbps_dataset.errors import InputError
from mbps_dataset.sources.files import FileFrame
from mbps_dataset.sources.frame import Source
from mbps_dataset.sources.images import IMAGE_SUFFIXES


class FolderSource(Source):
    """All images below `data_dir` (a folder, or one image file). Raises `InputError` if there are none."""

    name = "folder"

    def __init__(self, data_dir: str | Path, truth_dir: str | Path | None = None) -> None:
        self.root = Path(data_dir).expanduser()
        self.truth_root = Path(truth_dir).expanduser() if truth_dir else None
        if not self.root.exists():
            raise InputError(f"{self.root} does not exist; give a folder of images or one image file.")
        if self.truth_root is not None and not self.truth_root.is_dir():
            raise InputError(f"{self.truth_root} is not a folder; `truth_dir` holds the label maps of the images.")
        base = self.root if self.root.is_dir() else self.root.parent
        relative = sorted(path.relative_to(base) for path in _image_files(self.root))
        if not relative:
            raise InputError(f"{self.root} holds no image; looked for {', '.join(IMAGE_SUFFIXES)} at any depth.")
        ids = Counter(path.with_suffix("").as_posix() for path in relative)
        frames = []
        for path in relative:
            stem = path.with_suffix("").as_posix()
            image_id = stem if ids[stem] == 1 else path.as_posix()
            frames.append(FileFrame(image_id, base / path, *self._truth_paths(stem)))
        self._frames = tuple(sorted(frames, key=lambda frame: frame.image_id))
        self.has_truth = any(frame.label_path for frame in frames)

    def _truth_paths(self, stem: str) -> tuple[Path | None, Path | None]:
        if self.truth_root is None:
            return None, None
        candidates = (self.truth_root / f"{stem}_labelIds.png", self.truth_root / f"{stem}.png")
        label = next((path for path in candidates if path.is_file()), None)
        instance = self.truth_root / f"{stem}_instanceIds.png"
        return label, instance if label and instance.is_file() else None

    def splits(self) -> tuple[str, ...]:
        return ("train",)

    def frames(self, split: str) -> Sequence[FileFrame]:
        if split != "train":
            raise InputError(f"No split {split!r}: a folder of images is one split, 'train'.")
        return self._frames

    def describe(self) -> dict[str, Any]:
        truth = str(self.truth_root.resolve()) if self.truth_root else None
        return {"name": self.name, "data_dir": str(self.root.resolve()), "truth_dir": truth}


def _image_files(root: Path) -> Iterator[Path]:
    if root.is_file():
        yield root
        return
    for folder, _, names in os.walk(root, followlinks=False):
        for name in names:
            if not name.startswith(".") and Path(name).suffix.lower() in IMAGE_SUFFIXES:
                yield Path(folder) / name
