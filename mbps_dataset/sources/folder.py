"""Any folder of photographs.

PNG, JPEG and WebP files anywhere below a folder (or one file) become one split, "train". What belongs to it says
`mbps_dataset.sources.membership`. The id of an image is its path below the folder without the suffix; where two files
would share an id, both keep their suffix. Ground truth is optional: a folder `truth_dir` with, for the image ``a/b.jpg``,
``a/b_labelIds.png`` or ``a/b.png`` (Cityscapes label ids) and perhaps ``a/b_instanceIds.png``. An image whose name is not
UTF-8 is listed with the others, under a readable id, and is a failure as soon as it is looked at.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from mbps_dataset.errors import InputError
from mbps_dataset.sources.files import FileFrame
from mbps_dataset.sources.frame import Source
from mbps_dataset.sources.images import IMAGE_SUFFIXES, check_file
from mbps_dataset.sources.membership import FilesOfImages, FoundFiles, file_id, find_files, is_utf8, readable


UNREAD_SUFFIXES = (".heic", ".heif", ".avif", ".tif", ".tiff", ".bmp", ".gif", ".dng", ".cr2", ".nef")
"""Pictures of types that are never decoded: they are counted, so that nobody misses them without a word."""

_LABEL_SUFFIX, _INSTANCE_SUFFIX = "_labelIds.png", "_instanceIds.png"


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
        for folder in filter(None, (self.root, self.truth_root)):
            if not is_utf8(folder.resolve()):
                raise InputError(f"{readable(folder.resolve())}: the name of this folder is not UTF-8; rename it.")
        if not self.root.is_dir():
            check_file(self.root, str(self.root))
        found = find_files(self.root, (*IMAGE_SUFFIXES, *UNREAD_SUFFIXES))
        paths = {readable(path.relative_to(found.root)): path for path in (*found.paths, *found.not_utf8)}
        if self.root.is_dir():
            unread = [name for name in paths if name.lower().endswith(UNREAD_SUFFIXES)]
            self.left_out = dict(sorted(Counter(Path(name).suffix.lower() for name in unread).items()))
            for name in unread:
                del paths[name]
        if not paths:
            others = f" {left_out_in_words(self.left_out)}" if self.left_out else ""
            raise InputError(
                f"{self.root} holds no image; looked for {', '.join(IMAGE_SUFFIXES)} at any depth.{others}"
            )
        stems = {name: file_id(name) for name in paths}
        times = Counter(stems.values())
        labels, instances = self._find_truth(times)
        frames = []
        for name, path in paths.items():
            stem = stems[name]
            image_id = stem if times[stem] == 1 else name
            frames.append(FileFrame(image_id, path, labels.get(stem), instances.get(stem)))
        self._frames = tuple(sorted(frames, key=lambda frame: frame.image_id))
        self.has_truth = any(frame.label_path for frame in frames)

    def _find_truth(self, stems: Collection[str]) -> tuple[dict[str, Path], dict[str, Path]]:
        """Label and instance maps by image. Raises `InputError` if two fit an image, or one fits two."""
        if self.truth_root is None:
            return {}, {}
        named, every = (find_files(self.truth_root, [suffix]) for suffix in (_LABEL_SUFFIX, ".png"))
        instances = find_files(self.truth_root, [_INSTANCE_SUFFIX])
        others = tuple(sorted({*every.named()} - {*named.paths} - {*instances.paths}))
        by_suffix = FilesOfImages(stems, named, ("_gtFine_labelIds", "_labelIds"))
        by_name = FilesOfImages(stems, FoundFiles(every.root, others))
        of_instances = FilesOfImages(stems, instances, ("_gtFine_instanceIds", "_instanceIds"))
        labels = {stem: path for stem in stems if (path := by_suffix.path(stem) or by_name.path(stem)) is not None}
        return labels, {stem: path for stem in labels if (path := of_instances.path(stem)) is not None}

    def splits(self) -> tuple[str, ...]:
        return ("train",)

    def frames(self, split: str) -> Sequence[FileFrame]:
        if split != "train":
            raise InputError(f"No split {split!r}: a folder of images is one split, 'train'.")
        return self._frames

    def describe(self) -> dict[str, Any]:
        truth = os.path.abspath(self.truth_root) if self.truth_root else None
        return {"name": self.name, "data_dir": os.path.abspath(self.root), "truth_dir": truth}


def left_out_in_words(left_out: Mapping[str, int]) -> str:
    """
    >>> left_out_in_words({".heic": 2, ".tif": 1})
    '3 files of other picture types are left out: .heic, .tif; convert them to JPEG or PNG.'
    """
    count = sum(left_out.values())
    files, are, them = ("file", "is", "it") if count == 1 else ("files", "are", "them")
    return (
        f"{count} {files} of other picture types {are} left out: {', '.join(left_out)}; convert {them} to JPEG or PNG."
    )
