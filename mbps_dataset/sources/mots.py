"""KITTI MOTS and MOTSChallenge (Voigtlaender et al., CVPR 2019): objects of persons (and cars) in video, and nothing else.

KITTI: ``training/image_02/{sequence}/{frame}.png``. MOTSChallenge: ``train/{sequence}/img1/{frame}.jpg`` as MOTS20 has them, or
``train/images/{sequence}/{frame}.jpg``. Labels are PNG of 16 bits, ``1000 * class + object``, in ``instances/{sequence}/{frame}.png``
(below ``train`` for the last), or run lengths, a line of "frame object class height width counts" each, in ``instances_txt/{sequence}.txt``
or MOTS20's ``gt/gt.txt``. PNG win where both are there.

Decisions: class 1 is car, 2 person, 10 a region to be ignored, which is void; all other pixels are "static", void among 19
classes and "everything else" among 2. KITTI's training sequences are split as its authors do (`VALIDATION`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mbps_dataset.errors import InputError
from mbps_dataset.reading.image_files import image_hw
from mbps_dataset.sources.class_table import ClassTable, truth_of
from mbps_dataset.sources.files import read_map
from mbps_dataset.sources.frame import Truth
from mbps_dataset.sources.images import read_bytes
from mbps_dataset.sources.labelled import LabelledFrame, LabelledSource, images_below
from mbps_dataset.sources.mask_encoding import decode_run_lengths


MOTS = ClassTable(
    "MOTS (vision.rwth-aachen.de/page/mots)",
    {"background": "static", "car": "car", "pedestrian": "person", "ignore region": "unlabeled"},
    ids=(0, 1, 2, 10),
)
VALIDATION = frozenset(f"{number:04d}" for number in (2, 6, 7, 8, 10, 13, 14, 16, 18))
"""KITTI MOTS' sequences of validation."""

_MOST_TEXT_BYTES = 500_000_000
Line = tuple[int, int, int, str]  # object, height, width, counts


class MotsSource(LabelledSource):
    """Frames of KITTI MOTS or MOTSChallenge at `data_dir`."""

    name = "mots"
    layout = "training/image_02 (KITTI MOTS), train/SEQUENCE/img1 or train/images (MOTSChallenge)"
    video = True

    def find(self) -> Iterable[tuple[str, LabelledFrame]]:
        for image_id, path in images_below(self.root / "training" / "image_02"):
            split = "validation" if image_id.split("/")[0] in VALIDATION else "train"
            yield split, self.frame(image_id, path, _label_of(self.root, image_id))
        for folder, split in (("train", "train"), ("val", "validation"), ("test", "test")):
            root = self.root / folder
            for image_id, path in images_below(root / "images"):
                yield split, self.frame(image_id, path, _label_of(root, image_id))
            for sequence in sorted(root.glob("*/img1")):
                text = sequence.parent / "gt" / "gt.txt"
                for name, path in images_below(sequence):
                    yield split, self.frame(f"{sequence.parent.name}/{name}", path, text if text.is_file() else None)
        for image_id, path in images_below(self.root / "testing" / "image_02"):
            yield "test", self.frame(image_id, path, None)

    def read(self, frame: LabelledFrame) -> Truth:
        path = frame.label_path
        assert path is not None
        if path.suffix == ".txt":
            numbers = _painted(path, int(frame.path.stem), image_hw(frame.image_bytes(), str(frame.path)))
        else:
            numbers = read_map(path).astype(np.int64)
        objects = np.where(numbers > 0, numbers % 1000 + 1, 0)
        return truth_of(MOTS.label_ids(numbers // 1000, str(path)), objects, str(path))


def _label_of(root: Path, image_id: str) -> Path | None:
    """PNG or text of a frame; None where there are no labels at all."""
    if (root / "instances").is_dir():
        return root / "instances" / f"{image_id}.png"
    if (root / "instances_txt").is_dir():
        return root / "instances_txt" / f"{image_id.split('/')[0]}.txt"
    return None


def _painted(path: Path, frame: int, size_hw: tuple[int, int]) -> NDArray[np.int64]:
    """``1000 * class + object`` [H, W] of a frame. Raises `InputError` for masks of another size and such as overlap."""
    numbers = np.zeros(size_hw, np.int64)
    for number, height, width, counts in _lines(path).get(frame, ()):
        if (height, width) != size_hw:
            raise InputError(f"{path}: frame {frame}: a mask of {width}x{height} for an image of {size_hw[1]}x{size_hw[0]}; give the "
                             "labels of that sequence.")  # fmt: skip
        try:
            mask = decode_run_lengths(counts, size_hw)
        except InputError as error:
            raise InputError(f"{path}: frame {frame}: object {number}: {error}") from None
        if numbers[mask].any():
            raise InputError(
                f"{path}: frame {frame}: object {number} overlaps another, which MOTS does not allow; correct it."
            )
        numbers[mask] = number
    return numbers


@lru_cache(maxsize=4)
def _lines(path: Path) -> dict[int, list[Line]]:
    """Objects by frame. Raises `InputError` naming the line that is none."""
    text = read_bytes(path, str(path), at_most=_MOST_TEXT_BYTES).decode("ascii", "replace")
    found: dict[int, list[Line]] = defaultdict(list)
    for place, line in enumerate(filter(str.strip, text.splitlines()), start=1):
        try:
            frame, number, class_id, height, width, counts = line.split()
            entry = (int(number), int(height), int(width), counts)
            consistent = int(number) // 1000 == int(class_id)
        except ValueError:
            consistent = False
        if not consistent:
            raise InputError(f"{path}: line {place} is not 'frame object class height width counts' with objects from 1000 times "
                             "the class on; give the run lengths of MOTS.")  # fmt: skip
        found[int(frame)].append(entry)
    return dict(found)
