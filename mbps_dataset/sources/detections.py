"""Detections that somebody else's detector made, read from files: the report's CutLER and CuVLER rows without detectron2.

What is read, and how each form names its images:

* a COCO result file (JSON list of ``image_id, score, segmentation``; CutLER, CuVLER, detectron2, SAM tools): names come
  from a COCO image list given as `names`; without one, `image_id` must itself be the image's id;
* a COCO annotation file (JSON object with ``images`` and ``annotations``; MaskCut, VoteCut): names come from its own
  ``file_name``. MaskCut writes width and height exchanged, so the size is taken from the run lengths alone;
* a folder of one file per image: ``ID.npz`` with ``masks`` [M, H, W] or [M, H · W] and perhaps ``scores``,
  ``class_ids`` and ``num_valid``; or ``ID.png`` or ``ID_instance.png``, 16 bits, 0 = none and k = the k-th instance.

Classes of the file are not used (those detectors know one class, "object"): the class is the majority of the semantic map
under the mask. A file that names an image the source does not have, and a mask of another size than its image, are errors
that name file, image and sizes: silently wrong masks are worse than none. Masks are decoded only when asked for.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mbps_dataset.errors import InputError
from mbps_dataset.sources.images import DIGESTS
from mbps_dataset.sources.mask_encoding import decode_segmentation
from mbps_dataset.stage_settings import DetectionsSettings
from mbps_dataset.stages.instances import Instances, merge_detections
from mbps_dataset.store import digest_of


Shape = tuple[int, int]
Reader = Callable[[Shape, float], Instances]
"""Instances of one image, from its (height, width) and a least score."""

_NPZ_ARRAYS = ("masks", "scores", "class_ids", "num_valid")
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
            raise InputError(f"{self.origin}, image {image_id}: {error}.") from error


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
        entries = _folder_entries(path)
    elif path.suffix == ".json":
        entries = _coco_entries(path, names)
    elif path.exists():
        raise InputError(f"{path}: expected a COCO .json file or a folder of .npz or .png files.")
    else:
        raise InputError(f"{path}: no such file or folder of detections.")
    found = {name: _known_id(name, image_ids) for name in entries}
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


def _known_id(name: str, image_ids: Collection[str]) -> str | None:
    """The image id a file or image name stands for: itself, or without folder, ending and usual suffixes."""
    stem = PurePosixPath(name.replace("\\", "/")).name
    for ending in (".png", ".jpg", ".jpeg", ".npz", ".webp"):
        stem = stem[: -len(ending)] if stem.lower().endswith(ending) else stem
    candidates = [name, stem, *(stem.removesuffix(suffix) for suffix in _SUFFIXES)]
    return next((candidate for candidate in candidates if candidate in image_ids), None)


def _coco_entries(path: Path, names: str | os.PathLike[str] | Mapping[Any, str] | None) -> dict[str, Reader]:
    """Readers by image name for both kinds of COCO file."""
    content = _load_json(path)
    if isinstance(content, dict) and {"images", "annotations"} <= content.keys():
        records, names = content["annotations"], _names_of(content["images"], path)
    elif isinstance(content, list):
        records = content
        if names is not None and not isinstance(names, Mapping):
            listing = _load_json(Path(names))
            names = _names_of(listing.get("images", ()) if isinstance(listing, dict) else listing, Path(names))
    else:
        raise InputError(f"{path}: expected a list of results, or an object with `images` and `annotations`.")
    by_name: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for record in records:
        if not isinstance(record, dict) or not {"image_id", "segmentation"} <= record.keys():
            raise InputError(
                f"{path}: expected results with `image_id` and `segmentation`, but one is {record!r:.120}."
            )
        by_name[_name_of(record["image_id"], names, path)].append(record)
    return {name: _coco_reader(found) for name, found in by_name.items()}


def _name_of(image_id: Any, names: Mapping[Any, str] | None, path: Path) -> str:
    if names is None:
        return str(image_id)
    for key in (image_id, str(image_id)):
        if key in names:
            return names[key]
    raise InputError(
        f"{path}: image_id {image_id!r} is not in the image list; pass the list the results were made with."
    )


def _names_of(images: Any, path: Path) -> dict[Any, str]:
    try:
        return {image["id"]: str(image["file_name"]) for image in images}
    except (TypeError, KeyError) as error:
        raise InputError(f"{path}: expected `images` with `id` and `file_name`.") from error


def _coco_reader(records: list[dict[str, Any]]) -> Reader:
    def read(shape: Shape, min_score: float) -> Instances:
        kept = [record for record in records if float(record.get("score", 1.0)) >= min_score]
        pixels = [np.flatnonzero(decode_segmentation(record["segmentation"], shape)) for record in kept]
        return Instances.from_pixels(shape, pixels, scores=[float(record.get("score", 1.0)) for record in kept])

    return read


def _folder_entries(folder: Path) -> dict[str, Reader]:
    """Readers by file name for every .npz and .png below a folder."""
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".npz", ".png"))
    if not found:
        raise InputError(f"{folder}: no .npz or .png file of detections in this folder.")
    return {
        path.relative_to(folder).as_posix(): (_npz_reader if path.suffix.lower() == ".npz" else _png_reader)(path)
        for path in found
    }


def _npz_reader(path: Path) -> Reader:
    def read(shape: Shape, min_score: float) -> Instances:
        try:
            with np.load(path, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in _NPZ_ARRAYS if name in archive.files}
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            raise InputError(f"{path.name} cannot be read ({error})") from error
        if "masks" not in arrays:
            raise InputError(f"{path.name} has no array `masks`")
        valid = slice(int(arrays.pop("num_valid", len(arrays["masks"]))))
        arrays = {name: values[valid] for name, values in arrays.items()}
        instances = Instances(_masks_of_size(arrays.pop("masks"), shape), **arrays)
        return instances.select(instances.scores >= min_score)

    return read


def _masks_of_size(masks: NDArray[Any], shape: Shape) -> NDArray[Any]:
    """`masks` as [M, H, W]. Raises `InputError` if they have another size."""
    if masks.shape[1:] == (shape[0] * shape[1],) and masks.ndim == 2:
        return masks.reshape(-1, *shape)
    if masks.shape[1:] != tuple(shape) and masks.size:
        raise InputError(f"the masks are {masks.shape}, but the image is {shape[0]} x {shape[1]}")
    return masks.reshape(-1, *shape)


def _png_reader(path: Path) -> Reader:
    def read(shape: Shape, min_score: float) -> Instances:
        try:
            with Image.open(path) as picture:
                ids = np.asarray(picture)
        except OSError as error:
            raise InputError(f"{path.name} cannot be read ({error})") from error
        if ids.shape != tuple(shape) or ids.dtype.kind not in "iu":
            raise InputError(
                f"{path.name} is {ids.dtype} {ids.shape}, but a single-channel map of {shape[0]} x {shape[1]} is needed"
            )
        numbers = np.unique(ids)
        pixels = [np.flatnonzero(ids == number) for number in numbers[numbers > 0]]
        return Instances.from_pixels(shape, pixels if min_score <= 1.0 else [])

    return read


def _load_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({error}).") from error


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
        return [(str(p.relative_to(path)), DIGESTS.digest(p)) for p in sorted(path.rglob("*")) if p.is_file()]
    if not path.exists():
        raise InputError(f"{path}: no such file or folder of detections.")
    return DIGESTS.digest(path)
