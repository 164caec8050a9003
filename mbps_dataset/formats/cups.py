"""The flat folder from which CUPS' second stage trains.

    TARGET/SPLIT/X_semantic.png               uint8, class per pixel; inside an instance, the instance's class
    TARGET/SPLIT/X_instance.png               uint8, 0 = none, instances 1 … n
    TARGET/SPLIT/pseudo_classes_split_1.pt    counts over the split, from which it tells things from stuff

X is the stem of the image's file: for Cityscapes ``city_sequence_frame_leftImg8bit``. CUPS rescales images when it loads
them and labels not at all, so labels are written at training resolution: 0.625 of the label set's, 640x1280 for
Cityscapes (nearest neighbour), unless a size is given. The counts are taken from the files as they are written, at that
resolution; the reference code loses them on every interrupted run.

Decisions: pixels of no class are 255, which the reference code never writes and its losses ignore; instances that vanish
at the smaller size are left out and the others renumbered in order. More than 255 classes or 255 instances in an image
do not fit 8 bits and are refused.

Held: the class map, instances and their classes, at training resolution. Not held: segment ids, void of the panoptic map
where the class map has a class, scores, depth, and which classes are things (CUPS decides by its own share of 0.08).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from mbps_dataset import taxonomy
from mbps_dataset.errors import InputError
from mbps_dataset.formats.class_tables import mapped_ids
from mbps_dataset.formats.description import Description, LabelRow, file_stem, image_id_of, split_folder
from mbps_dataset.formats.image_segmentation import Labels, read_map
from mbps_dataset.formats.target import save_png
from mbps_dataset.resizing import resize_nearest


HELD = "the class map with instances aligned, instances, at training resolution"
NOT_HELD = "segment ids, void where the class map has a class, scores, depth, which classes are things"
LABEL_FILES = ("*/*_semantic.png", "*/*_instance.png")

SCALE = 0.625
THING_SHARE = 0.08
"""CUPS' psi: a class is a thing if its share of the summed instance ratios exceeds this."""

_CITYSCAPES_NAME = re.compile(r"[A-Za-z-]+_\d{6}_\d{6}")
_SUFFIX = "_leftImg8bit"


class Writer:
    """Writes one split below `folder`."""

    def __init__(self, folder: Path, description: Description, split: str) -> None:
        self.folder, self.classes = folder / split_folder(split), len(description.class_names)
        self.size = description.options.get("size")
        self.all_px, self.inside_px, self.masks = (np.zeros(self.classes, dtype=np.int64) for _ in range(3))

    @staticmethod
    def check(description: Description) -> None:
        """Raises `InputError` if the classes do not fit 8 bits."""
        if len(description.class_names) > 255:
            raise InputError(
                f"CUPS' 8-bit class maps hold 255 classes, but this label set has {len(description.class_names)}; "
                "coco-panoptic and maskformer hold any number."
            )

    def write(self, row: LabelRow) -> None:
        """Write one image's maps. Raises `InputError` if it has more than 255 instances."""
        height, width = self.size or (round(side * SCALE) for side in row.panoptic.shape)
        things = row.things()
        numbers = row.painted({int(s["id"]): k for k, s in enumerate(things, start=1)}, np.int32)
        numbers = resize_nearest(numbers, height, width)
        present = np.unique(numbers[numbers > 0])
        if len(present) > 255:
            raise InputError(
                f"{row.image_id}: {len(present)} instances do not fit the 8-bit instance maps of CUPS; "
                "raise instances.min_area, or export to coco-panoptic or maskformer."
            )
        class_of = np.array([0, *(int(s["category_id"]) for s in things)])
        semantic = resize_nearest(row.semantic, height, width)
        semantic = np.where(semantic < self.classes, semantic, taxonomy.VOID)
        semantic = np.where(numbers > 0, class_of[numbers], semantic).astype(np.uint8)
        renumbered = np.zeros(len(class_of), dtype=np.uint8)
        renumbered[present] = np.arange(1, len(present) + 1)
        self._count(semantic, numbers > 0, class_of[present])
        stem = stem_of(row.image_id)
        save_png(self.folder / f"{stem}_semantic.png", semantic)
        save_png(self.folder / f"{stem}_instance.png", renumbered[numbers])

    def _count(self, semantic: np.ndarray, inside: np.ndarray, classes_of_masks: np.ndarray) -> None:
        labelled = semantic < self.classes
        self.all_px += np.bincount(semantic[labelled], minlength=self.classes)
        self.inside_px += np.bincount(semantic[labelled & inside], minlength=self.classes)
        self.masks += np.bincount(classes_of_masks, minlength=self.classes)

    def close(self) -> None:
        """Write the statistics of the split."""
        import torch

        self.folder.mkdir(parents=True, exist_ok=True)
        statistics = {
            "distribution all pixels": torch.from_numpy(self.all_px),
            "distribution inside object proposals": torch.from_numpy(self.inside_px),
            "distribution per object proposal": torch.from_numpy(self.masks),
        }
        torch.save(statistics, self.folder / "pseudo_classes_split_1.pt")


def stem_of(image_id: str) -> str:
    """The stem of the image's file: Cityscapes' names get their suffix back.

    >>> stem_of("ulm_000000_000019"), stem_of("a/b")
    ('ulm_000000_000019_leftImg8bit', 'a%2Fb')
    """
    return f"{image_id}{_SUFFIX}" if _CITYSCAPES_NAME.fullmatch(image_id) else file_stem(image_id)


def things_for_cups(all_px: np.ndarray, inside_px: np.ndarray, share: float = THING_SHARE) -> tuple[int, ...]:
    """The classes CUPS will take for things, ascending.

    ``r_k = inside_k / (all_k + 1e-6)``, divided by their sum; things are the classes above `share`. If every class is
    above it, the reference code makes none a thing, and so does this.
    """
    ratios = inside_px / (all_px + 1e-6)
    shares = ratios / ratios.sum() if ratios.sum() > 0 else ratios
    things = np.flatnonzero(shares > share)
    return () if len(things) == len(shares) else tuple(int(k) for k in things)


def location(description: Description, split: str) -> str:
    """The path below the target that stands for a split."""
    return split_folder(split)


def readers(
    folder: Path, description: Description, split: str, class_of: Mapping[int, int] | None, void: int
) -> dict[str, Callable[[], Labels]]:
    """Image id → reader of a split. A reader raises `InputError` for classes that the description does not know."""
    target = {k: k if class_of is None else class_of.get(k, void) for k in range(len(description.class_names))}
    target[taxonomy.VOID] = void

    def reader(path: Path, image_id: str) -> Callable[[], Labels]:
        instance_path = path.with_name(path.name.replace("_semantic.png", "_instance.png"))

        def read() -> Labels:
            semantic = mapped_ids(read_map(path, image_id), target, f"image {image_id!r}: {path}")
            return Labels(image_id, semantic, read_map(instance_path, image_id))

        return read

    found = {}
    for path in sorted((folder / location(description, split)).glob("*_semantic.png")):
        stem = path.name.removesuffix("_semantic.png")
        plain = stem.removesuffix(_SUFFIX)
        image_id = plain if _CITYSCAPES_NAME.fullmatch(plain) else image_id_of(stem)
        found[image_id] = reader(path, image_id)
    return found
