"""What belongs to a set of files, and to which image a file belongs: the one rule of every reader.

Decisions (ours):

* names and folders that begin with a dot (``._x.png`` of a Mac, ``.ipynb_checkpoints``) and what systems put beside
  data (`SYSTEM_FOLDERS`) are never data; suffixes count in any case;
* the id of a file is its path below the root without suffix, so that two sequences do not clash;
* a file belongs to the image with its id; an ending such as ``_labelIds`` may follow it. The bare file name decides only
  where one file and one image have it, and two files that fit an image are an error;
* links to folders are followed, each folder once, and never upwards, so that a loop cannot hang the scan; a folder that
  cannot be read is an error and not a smaller set;
* a name that is not UTF-8 has no id, since ids are text in JSON and Parquet.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from mbps_dataset.errors import InputError


SYSTEM_FOLDERS = ("__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found")
"""Folders that archivers, network drives and file systems leave beside data; some hold thumbnails."""


def is_data(name: str) -> bool:
    """Whether a file or folder of this name may belong to a set.

    >>> [is_data(name) for name in ("a.png", "._a.png", ".git", "__MACOSX")]
    [True, False, False, False]
    """
    return not name.startswith(".") and name not in SYSTEM_FOLDERS


def is_utf8(path: str | os.PathLike[str]) -> bool:
    """Whether a path is text, and can be written into JSON and Parquet."""
    return not any("\ud800" <= character <= "\udfff" for character in os.fspath(path))


def readable(path: str | os.PathLike[str]) -> str:
    r"""A path for messages and lists of failures: bytes that are not UTF-8 as ``\xe9``."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


@dataclass(frozen=True)
class FoundFiles:
    """Files below `root` with one of some suffixes, sorted: `paths`, and `not_utf8` those whose name is not UTF-8."""

    root: Path
    paths: tuple[Path, ...]
    not_utf8: tuple[Path, ...] = ()

    def named(self) -> tuple[Path, ...]:
        """`paths`, for readers that cannot list a failure. Raises `InputError` naming a file whose name is not UTF-8."""
        if self.not_utf8:
            raise InputError(
                f"{readable(self.not_utf8[0])}: the name of this file is not UTF-8 ({len(self.not_utf8)} such below "
                f"{readable(self.root)}); rename it."
            )
        return self.paths

    def id_of(self, path: Path, endings: Sequence[str] = ()) -> str:
        """The id of one of the files; see `file_id`."""
        return file_id(path.relative_to(self.root), endings)


def file_id(relative: str | PurePath, endings: Sequence[str] = ()) -> str:
    """A path below the root without suffix, and without the first of `endings` that it has, as POSIX text.

    >>> file_id("seq1/0001_labelIds.PNG", ("_gtFine_labelIds", "_labelIds"))
    'seq1/0001'
    """
    return _without_ending(PurePath(relative).with_suffix("").as_posix(), endings)


def _without_ending(identifier: str, endings: Sequence[str]) -> str:
    name = identifier.rsplit("/", 1)[-1]
    return identifier.removesuffix(next((end for end in endings if name.endswith(end) and name != end), ""))


def find_files(root: str | os.PathLike[str], suffixes: Collection[str]) -> FoundFiles:
    """Files anywhere below the folder `root` whose name ends with one of `suffixes` in any case; a file `root` is itself.

    A suffix is what a name ends with, such as ".png" or "_disparity.png". Links that lead nowhere and special files are
    listed, since reading them says what is wrong. Raises `InputError` naming a folder that cannot be read.
    """
    root, lowered = Path(root), tuple(suffix.lower() for suffix in suffixes)
    if not root.is_dir():
        found, root = [root], root.parent
    else:
        found = sorted(path for path in _walk(root) if path.name.lower().endswith(lowered))
    usable = tuple(path for path in found if is_utf8(path.relative_to(root)))
    return FoundFiles(root, usable, tuple(path for path in found if not is_utf8(path.relative_to(root))))


def _walk(root: Path) -> Iterator[Path]:
    """Every data file below `root`: real folders first, so that a link to one of them adds nothing."""
    start = Path(os.path.realpath(root))
    seen: set[tuple[int, int]] = set()
    unreadable: list[str] = []
    folders: list[Path] = [root]
    links: list[Path] = []
    while folders or links:
        folder = folders.pop() if folders else links.pop(0)
        try:
            status = folder.stat()
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(folder) as scanned:
                entries = sorted((entry for entry in scanned if is_data(entry.name)), key=lambda entry: entry.name)
        except OSError as error:
            unreadable.append(f"{readable(folder)}: {error.strerror}")
            continue
        here = Path(os.path.realpath(folder))
        for entry in entries:
            if not _is_folder(entry):
                yield Path(entry.path)
            elif not entry.is_symlink():
                folders.append(Path(entry.path))
            elif not _leads_up(Path(os.path.realpath(entry.path)), here, start):
                links.append(Path(entry.path))
    if unreadable:
        raise InputError(
            f"{readable(root)}: {len(unreadable)} of its folders cannot be read ({'; '.join(unreadable[:3])}); change "
            "their permissions or move them away."
        )


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a ring of links: listed as a file, whose reading says what is wrong
        return False


def _leads_up(target: Path, *places: Path) -> bool:
    return any(place.is_relative_to(target) for place in places)


class FilesOfImages:
    """Which of some files belongs to which image.

    `endings` may follow an image's id in a file's name before the suffix, as in ``0001_depth.npy``.
    """

    def __init__(self, image_ids: Collection[str], files: FoundFiles, endings: Sequence[str] = ()) -> None:
        self._root, self._endings = files.root, tuple(endings)
        self._by_id: dict[str, list[Path]] = defaultdict(list)
        self._by_full_id: dict[str, list[Path]] = defaultdict(list)
        for path in files.named():
            self._by_full_id[files.id_of(path)].append(path)
            self._by_id[files.id_of(path, self._endings)].append(path)
        taken = {path for image_id in image_ids for path in self._exact(image_id)}
        self._by_name: dict[str, list[Path]] = defaultdict(list)
        for path in files.paths:
            if path not in taken:
                self._by_name[self._bare(files.id_of(path))].append(path)
        self._images_named: dict[str, list[str]] = defaultdict(list)
        for image_id in sorted(set(image_ids)):
            self._images_named[self._bare(image_id)].append(image_id)

    def path(self, image_id: str) -> Path | None:
        """The file of an image, or None if there is none.

        Raises `InputError` if two files fit the image, or one fits several images by its bare name alone.
        """
        exact, name = self._exact(image_id), self._bare(image_id)
        found, images = exact or self._by_name.get(name, []), self._images_named.get(name, [])
        if len(found) > 1:
            raise InputError(
                f"{image_id}: {len(found)} files fit this image ({found[0]}, {found[1]}{', …' * (len(found) > 2)}); "
                "keep one of them."
            )
        if found and not exact and len(images) > 1:
            raise InputError(
                f"{found[0]}: fits {len(images)} images by its name alone ({images[0]}, {images[1]}"
                f"{', …' * (len(images) > 2)}); put it into the folder of its image below {self._root}."
            )
        return found[0] if found else None

    def _exact(self, image_id: str) -> list[Path]:
        return self._by_full_id.get(image_id) or self._by_id.get(image_id) or []

    def _bare(self, identifier: str) -> str:
        return _without_ending(identifier.rsplit("/", 1)[-1], self._endings)
