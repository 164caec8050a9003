"""A plain folder of rectified stereo video.

``left/`` and ``right/`` with images of the same names, sub-folders being sequences, and ``calibration.json``::

    {"fx": 721.5, "fy": 721.5, "cx": 609.6, "cy": 172.9, "baseline": 0.54, "width": 1242, "height": 375}

in pixels and metres; ``width`` and ``height`` are optional, and compared with the images. One split, "train".

Decisions: names tell the order in time, numbers in them by their value, so that ``9`` comes before ``10``. The next frame
is the next name; where names have numbers, only if their last one is no more than one and a half usual steps larger and
what stands before it is the same, so that frames on both sides of a gap, or of two scenes, are no neighbours. Nothing can
tell that names run backwards in time.
"""

from __future__ import annotations

import math
import os
import re
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mbps_dataset.errors import InputError
from mbps_dataset.reading.json_documents import read_json
from mbps_dataset.sources.camera import Camera
from mbps_dataset.sources.files import MAX_CAMERA_BYTES, FileFrame
from mbps_dataset.sources.frame import Source
from mbps_dataset.sources.images import IMAGE_SUFFIXES
from mbps_dataset.sources.membership import FilesOfImages, file_id, find_files, readable


CALIBRATION_NAME = "calibration.json"
LARGEST_STEP = 1.5
"""Usual steps of the numbers in names from which on something is missing in between."""

_NUMBERS = ("fx", "fy", "cx", "cy", "baseline")
_DIGITS = re.compile(r"(\d+)")


@dataclass(frozen=True)
class _Sequence:
    """Frames of a folder by id, and the ids in order of time, broken up where frames are missing."""

    frames: dict[str, StereoFolderFrame] = field(default_factory=dict, repr=False)
    place: dict[str, tuple[int, int]] = field(default_factory=dict, repr=False)
    runs: list[list[str]] = field(default_factory=list, repr=False)

    def neighbour(self, image_id: str, offset: int) -> StereoFolderFrame | None:
        run, index = self.place[image_id]
        reached = index + offset
        return self.frames[self.runs[run][reached]] if 0 <= reached < len(self.runs[run]) else None


@dataclass(frozen=True)
class StereoFolderFrame(FileFrame):
    """A left image; `right` and `calibration` are None where they are missing."""

    right: Path | None = None
    calibration: Path | None = None
    sequence: _Sequence = field(default_factory=_Sequence, repr=False, compare=False)

    def right_path(self) -> Path | None:
        return self.right

    def camera_path(self) -> Path | None:
        return self.calibration

    def read_camera(self, path: Path, image_hw: tuple[int, int]) -> Camera:
        return read_calibration(path, image_hw)

    def neighbour(self, offset: int) -> StereoFolderFrame | None:
        return self.sequence.neighbour(self.image_id, offset)


class StereoFolderSource(Source):
    """Stereo video at `data_dir`. Raises `InputError` if a folder is missing, or the calibration is damaged."""

    name = "stereo"

    def __init__(self, data_dir: str | Path) -> None:
        self.root = Path(data_dir).expanduser()
        left, right = self.root / "left", self.root / "right"
        if missing := [folder for folder in (left, right) if not folder.is_dir()]:
            raise InputError(f"{missing[0]} does not exist; `data_dir` must hold left, right and {CALIBRATION_NAME}.")
        found = find_files(left, IMAGE_SUFFIXES)
        paths = {file_id(readable(path.relative_to(left))): path for path in (*found.paths, *found.not_utf8)}
        if len(paths) < len(found.paths) + len(found.not_utf8):
            times = Counter(file_id(readable(path.relative_to(left))) for path in (*found.paths, *found.not_utf8))
            raise InputError(f"{left}: two images are called {times.most_common(1)[0][0]}; keep one of them.")
        if not paths:
            raise InputError(f"{left} holds no image; looked for {', '.join(IMAGE_SUFFIXES)} at any depth.")
        rights = FilesOfImages(paths, find_files(right, IMAGE_SUFFIXES))
        calibration = self.root / CALIBRATION_NAME
        given = calibration if calibration.is_file() else None
        if given is not None:
            read_calibration(given, None)
        self._frames = tuple(
            frame
            for image_ids in _by_folder(paths)
            for frame in _sequence(image_ids, paths, rights, given).frames.values()
        )

    def splits(self) -> tuple[str, ...]:
        return ("train",)

    def frames(self, split: str) -> Sequence[StereoFolderFrame]:
        if split != "train":
            raise InputError(f"No split {split!r}: a folder of stereo video is one split, 'train'.")
        return tuple(sorted(self._frames, key=lambda frame: frame.image_id))

    def describe(self) -> dict[str, Any]:
        return {"name": self.name, "data_dir": os.path.abspath(self.root)}


def _by_folder(image_ids: Iterable[str]) -> list[list[str]]:
    folders: dict[str, list[str]] = defaultdict(list)
    for image_id in image_ids:
        folders[image_id.rpartition("/")[0]].append(image_id)
    return list(folders.values())


def _sequence(
    image_ids: list[str], paths: Mapping[str, Path], rights: FilesOfImages, calibration: Path | None
) -> _Sequence:
    sequence = _Sequence(runs=runs_in_time(image_ids))
    for number, run in enumerate(sequence.runs):
        for index, image_id in enumerate(run):
            sequence.place[image_id] = number, index
            sequence.frames[image_id] = StereoFolderFrame(
                image_id, paths[image_id], right=rights.path(image_id), calibration=calibration, sequence=sequence
            )
    return sequence


def runs_in_time(names: Sequence[str]) -> list[list[str]]:
    """`names` of one folder in order of time, broken up where numbers are missing.

    >>> runs_in_time(["f10", "f9", "f8", "f15", "f16"])
    [['f8', 'f9', 'f10'], ['f15', 'f16']]
    """
    ordered = sorted(names, key=_in_time)
    steps = [_step(before, after) for before, after in zip(ordered, ordered[1:])]
    known = [step for step in steps if step and not math.isinf(step)]
    largest = LARGEST_STEP * statistics.median(known) if known else 0.0
    runs = [ordered[:1]]
    for name, step in zip(ordered[1:], steps):
        if step is not None and step > largest:
            runs.append([])
        runs[-1].append(name)
    return runs


def _in_time(name: str) -> tuple[list[tuple[bool, int, str]], str]:
    """A key that compares numbers in a name by their value."""
    parts = _DIGITS.split(name)
    return [(part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts], name


def _step(before: str, after: str) -> float | None:
    """By how much the last number of two names differs: infinite if they begin otherwise, None if one has no number."""
    first, second = _DIGITS.split(before), _DIGITS.split(after)
    if len(first) < 3 or len(second) < 3:
        return None
    return int(second[-2]) - int(first[-2]) if first[:-2] == second[:-2] else math.inf


def read_calibration(path: Path, image_hw: tuple[int, int] | None) -> Camera:
    """The camera in a ``calibration.json``; `image_hw` is compared with its width and height, None takes them as they are.

    Raises `InputError` naming the file and what is wrong.
    """
    form = f"give a JSON object with {', '.join(_NUMBERS)} (pixels; metres)"
    try:
        document = read_json(path, most_bytes=MAX_CAMERA_BYTES)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); {form}.") from None
    known = document if isinstance(document, dict) else {}
    if missing := [name for name in _NUMBERS if not _is_number(known.get(name))]:
        raise InputError(f"{path}: {missing[0]} is missing or no number; {form}.")
    if unknown := sorted(set(known) - {*_NUMBERS, "width", "height"}):
        raise InputError(f"{path}: {unknown[0]!r} is not known; {form}, and width and height if you like.")
    height, width = image_hw or (1, 1)
    for name, side in (("width", width), ("height", height)):
        stated = known.get(name, side)
        if not _is_number(stated) or (image_hw is not None and stated != side):
            raise InputError(
                f"{path}: {name} is {stated!r}, but the image is {width}x{height}; scale the calibration."
            )
    fx, fy, cx, cy, baseline = (float(known[name]) for name in _NUMBERS)
    if image_hw is not None and not (0 <= cx < width and 0 <= cy < height):
        raise InputError(
            f"{path}: ({cx:g}, {cy:g}) lies outside the image of {width}x{height}; scale the calibration."
        )
    try:
        return Camera(fx, fy, cx, cy, baseline, (height, width))
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
