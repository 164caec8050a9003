"""Detections that somebody else's detector made, read from files: the report's CutLER and CuVLER rows without detectron2.

What is read, and how each form names its images:

* a COCO result file (JSON list of ``image_id, score, segmentation``; CutLER, CuVLER, detectron2): names come from a COCO
  image list given as `names`; without one, `image_id` must itself be the image's id;
* a COCO annotation file (JSON object with ``images`` and ``annotations``; MaskCut, VoteCut): names come from its own
  ``file_name``. MaskCut writes width and height exchanged, so the size is taken from the run lengths alone;
* a folder of one file or one folder per image (`detection_folders`), and a file of one image that SAM's own tools wrote
  (``amg.py``, SA-1B): the name is that of the file.

Classes of the file are not used (those detectors know one class, "object"): the class is the majority of the semantic map
under the mask. A file that names an image the source does not have, and a mask of another size than its image, are errors
that name file, image and sizes: silently wrong masks are worse than none. Masks are decoded only when asked for.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from mbps_dataset.errors import InputError
from mbps_dataset.sources.detection_folders import SUFFIXES, readers_of_folder
from mbps_dataset.sources.detection_records import Reader, Shape, readers_of_json
from mbps_dataset.sources.images import DIGESTS
from mbps_dataset.sources.membership import find_files
from mbps_dataset.stage_settings import DetectionsSettings
from mbps_dataset.stages.instances import Instances, merge_detections
from mbps_dataset.store import digest_of


_ENDINGS = (".png", ".jpg", ".jpeg", ".npz", ".webp", ".json")
_SUFFIXES = ("_leftImg8bit", "_instance", "_masks")


class Detections:
    """Detections of many images. `image_ids` are those that have an entry; an image without one has no instance."""

    def __init__(self, origin: str, readers: Mapping[str, Reader]) -> None:
        self.origin, self._readers = origin, dict(readers)

    @property
    def image_ids(self) -> tuple[str, ...]:
        """Ids of the images the files say something about, sorted."""
        return tuple(sorted(self._readers))

    def instances(self, image_id: str, shape: Shape, *, min_score: float = 0.0) -> Instances:
        """Masks of one image with a score of at least `min_score`, in the order of the file, classes unknown.

        Raises `InputError` naming file and image if a mask is damaged or not of size `shape` (H, W).
        """
        reader = self._readers.get(image_id)
        if reader is None:
            return Instances.empty(shape)
        try:
            return reader(shape, min_score)
        except ValueError as error:
            raise InputError(f"{self.origin}, image {image_id}: {str(error).removesuffix('.')}.") from error


def read_detections(
    path: str | os.PathLike[str],
    image_ids: Collection[str],
    *,
    names: str | os.PathLike[str] | Mapping[Any, str] | None = None,
) -> Detections:
    """Detections in the file or folder `path` for images with these ids.

    `names` turns the numbers of a COCO result file into file names: a COCO image list (JSON), or a mapping.

    Raises `InputError` if the file cannot be read, is of no known form, or names an image that is not in `image_ids`.
    """
    path = Path(path)
    if path.is_dir():
        entries = readers_of_folder(path)
    elif path.suffix.lower() == ".json":
        entries = readers_of_json(path, Path(names) if isinstance(names, (str, os.PathLike)) else names)
    elif path.exists():
        raise InputError(f"{path}: expected a COCO .json file or a folder of .npz, .png or .json files.")
    else:
        raise InputError(f"{path}: no such file or folder of detections.")
    known_ids = _KnownIds(image_ids)
    found = {name: known_ids.of(name, path) for name in entries}
    known = {name: image_id for name, image_id in found.items() if image_id is not None}
    strangers = sorted(found.keys() - known.keys())
    if strangers:
        shown = ", ".join(strangers[:3]) + (", …" if len(strangers) > 3 else "")
        raise InputError(
            f"{path} names {len(strangers)} of {len(entries)} images that the source does not have: {shown}. "
            "Choose the split the detections were made on, or pass `names` if these are numbers."
        )
    by_id: dict[str, str] = {}
    for name, image_id in known.items():
        if by_id.setdefault(image_id, name) != name:
            raise InputError(f"{path} names image {image_id} twice: {by_id[image_id]} and {name}; keep one of them.")
    return Detections(str(path), {image_id: entries[name] for image_id, name in by_id.items()})


def merged(parts: Sequence[Detections], *, max_iou: float = 0.3) -> Detections:
    """Several files as one: per image all masks by falling score, each dropped that overlaps a kept one by more."""

    def reader(image_id: str) -> Reader:
        def read(shape: Shape, min_score: float) -> Instances:
            found = [part.instances(image_id, shape, min_score=min_score) for part in parts]
            return merge_detections(found, max_iou=max_iou)

        return read

    image_ids = {image_id for part in parts for image_id in part.image_ids}
    return Detections(" + ".join(part.origin for part in parts), {name: reader(name) for name in image_ids})


class _KnownIds:
    """Image ids, and which of them a file's or image's name stands for."""

    def __init__(self, image_ids: Collection[str]) -> None:
        self._ids = frozenset(image_ids)
        self._by_last_part: dict[str, list[str]] = defaultdict(list)
        for image_id in sorted(self._ids):
            self._by_last_part[image_id.rsplit("/", 1)[-1]].append(image_id)

    def of(self, name: str, path: Path) -> str | None:
        """The id that is `name`, or its longest tail without ending and usual suffix; else the one whose last part it is.

        Raises `InputError` naming the file `path` if there are several such.
        """
        if name in self._ids:
            return name
        trunk = name.replace("\\", "/")
        ending = next((ending for ending in _ENDINGS if trunk.lower().endswith(ending)), "")
        parts = trunk[: len(trunk) - len(ending)].split("/")
        tails = ["/".join(parts[first:]) for first in range(len(parts))]
        for tail in tails:
            for candidate in (tail, *(tail.removesuffix(suffix) for suffix in _SUFFIXES)):
                if candidate in self._ids:
                    return candidate
        for last in (parts[-1], *(parts[-1].removesuffix(suffix) for suffix in _SUFFIXES)):
            if fitting := self._by_last_part.get(last):
                if len(fitting) > 1:
                    raise InputError(
                        f"{path}: {name} fits {len(fitting)} images by its last part ({fitting[0]}, {fitting[1]}); "
                        "name it by the path of its image."
                    )
                return fitting[0]
        return None


def open_detections(settings: DetectionsSettings, image_ids: frozenset[str]) -> Detections:
    """The files of a recipe as one set of detections for images with these ids. Raises `InputError`."""
    parts = [read_detections(Path(file).expanduser(), image_ids, names=settings.names) for file in settings.files]
    return parts[0] if len(parts) == 1 else merged(parts, max_iou=settings.max_iou)


def detections_digest(settings: DetectionsSettings) -> str:
    """Digest that follows the content of the files and not where they lie. Raises `InputError`."""
    named = [settings.names] if settings.names else []
    return digest_of([_digest(Path(file).expanduser()) for file in (*settings.files, *named)])


def _digest(path: Path) -> str | list[tuple[str, str]]:
    if path.is_dir():
        found = find_files(path, SUFFIXES).named()
        return [(str(file.relative_to(path)), DIGESTS.digest(file)) for file in found]
    if not path.exists():
        raise InputError(f"{path}: no such file or folder of detections.")
    return DIGESTS.digest(path)
