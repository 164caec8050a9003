"""Detections in JSON: COCO's two kinds of file, and the two that Segment Anything's own tools write.

* COCO results, a list of ``image_id, segmentation, score`` (CutLER, CuVLER, detectron2), and COCO annotations, an object
  with ``images`` and ``annotations`` (MaskCut, VoteCut);
* the list that SAM's ``amg.py`` writes for one picture, ``segmentation, predicted_iou, stability_score, …`` without an
  image id, and SA-1B's object with ``image`` and ``annotations``: both are of the picture the file is named after.

Decisions (ours): a score that is null counts as absent, which is 1.0; without a `score`, SAM's `predicted_iou` is the
score; a score that is no finite number is an error, since comparing with NaN would drop the mask without a word.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from mbps_dataset.errors import InputError
from mbps_dataset.reading.json_documents import parse_json, read_json
from mbps_dataset.reading.names import shown
from mbps_dataset.sources.mask_encoding import segmentation_pixels
from mbps_dataset.stages.instances import Instances


Shape = tuple[int, int]
Reader = Callable[[Shape, float], Instances]
"""Instances of one image, from its (height, width) and a least score."""

MOST_BYTES = 4_000_000_000
"""Of a JSON file; results of CutLER on ImageNet have some 2 GB."""

MOST_OF_INFO = 100_000
"""Bytes of a first line that says where a file comes from."""

MOST_COVERED = 500
"""How often the masks of an image may cover it in all; what detectors and SAM give covers it some ten times (ours)."""

_SCORES = ("score", "predicted_iou")


def readers_of_json(path: Path, names: Path | Mapping[Any, str] | None) -> dict[str, Reader]:
    """Readers by image name of a JSON file of any of the forms above.

    `names` are the file names of a list's image ids: a COCO image list, or a mapping. Raises `InputError` naming the file
    and the annotation if it is of no such form.
    """
    content = load_json(path)
    of_one = _records_of_one_image(content, path)
    if content and of_one is not None:  # an empty list says nothing about any image
        return {path.name: _reader(list(enumerate(of_one)))}
    if isinstance(content, dict) and {"images", "annotations"} <= content.keys():
        records, names = content["annotations"], _names_of(content["images"], path)
    elif isinstance(content, list):
        records = content
        if names is not None and not isinstance(names, Mapping):
            listing = load_json(names)
            names = _names_of(listing.get("images") if isinstance(listing, dict) else listing, names)
    else:
        raise InputError(f"{path}: expected a list of results, or an object with `images` and `annotations`.")
    if not isinstance(records, list):
        raise InputError(f"{path}: `annotations` is {shown(records)}, but must be a list.")
    by_name: dict[str, list[tuple[int, dict[str, Any]]]] = defaultdict(list)
    for index, record in enumerate(records):
        if not isinstance(record, dict) or not {"image_id", "segmentation"} <= record.keys():
            raise InputError(
                f"{path}: expected results with `image_id` and `segmentation`, but annotation {index} is "
                f"{shown(record, 120)}."
            )
        by_name[_name_of(record, index, names, path)].append((index, record))
    return {name: _reader(found) for name, found in by_name.items()}


def stated_origin(path: Path) -> tuple[str, tuple[str, ...]] | None:
    """What the network saw that made a file, with the licence of its weights, and ground truth that went into it.

    Only files of `mbps predict --detections` say so, in their first line; None for all others.
    """
    try:
        with path.open("rb") as stream:
            line = stream.readline(MOST_OF_INFO)
        info = parse_json(line.rstrip().removesuffix(b",") + b"}")["info"]
        supervision, truth = info["supervision"], info["ground_truth_used"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not isinstance(supervision, str) or not isinstance(truth, list) or not all(isinstance(t, str) for t in truth):
        return None
    return supervision, tuple(truth)


def reader_of_one_image(path: Path) -> Reader:
    """Reader of a file that SAM's tools wrote for one picture; it is opened only when the picture's turn comes."""

    def read(shape: Shape, min_score: float) -> Instances:
        records = _records_of_one_image(load_json(path), path)
        if records is None:
            raise InputError(
                f"{path.name} is no list of masks of one image, as SAM's tools write it; give a COCO file by itself"
            )
        with _naming(path.name):
            return _reader(list(enumerate(records)))(shape, min_score)

    return read


def load_json(path: Path) -> Any:
    """The document in `path`; NaN is left to those who know which annotation it stands in. Raises `InputError`."""
    try:
        return read_json(path, most_bytes=MOST_BYTES, nan=True)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({error}).") from error


def finite_score(value: Any) -> float:
    """A score as a number, None as 1.0. Raises `InputError` for NaN, infinities and what is no number."""
    if value is None:
        return 1.0
    try:
        if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
            return float(value)
    except OverflowError:
        pass
    raise InputError(f"the score is {shown(value)}, but must be a finite number, or absent")


def _records_of_one_image(content: Any, path: Path) -> list[Any] | None:
    """Annotations of a file of one image; None if it is of another form."""
    if isinstance(content, list):
        is_amg = all(isinstance(record, dict) and "image_id" not in record for record in content)
        return content if is_amg and all("segmentation" in record for record in content) else None
    if not isinstance(content, dict) or not {"image", "annotations"} <= content.keys():
        return None
    image, records = content["image"], content["annotations"]
    if not isinstance(image, dict) or not isinstance(records, list):
        raise InputError(f"{path}: expected `image` to be an object and `annotations` a list, as in SA-1B.")
    name = image.get("file_name")
    if isinstance(name, str) and PurePosixPath(name.replace("\\", "/")).stem != path.stem:
        raise InputError(f"{path}: says it is of the image {shown(name)}; a file must be named after its image.")
    for index, record in enumerate(records):
        if not isinstance(record, dict) or "segmentation" not in record:
            raise InputError(f"{path}: annotation {index} is {shown(record, 120)}, but must have a `segmentation`.")
    return records


def _name_of(record: Mapping[str, Any], index: int, names: Mapping[Any, str] | None, path: Path) -> str:
    image_id = record["image_id"]
    if isinstance(image_id, bool) or not isinstance(image_id, (int, str, float)):
        raise InputError(
            f"{path}: `image_id` of annotation {index} is {shown(image_id)}, but must be a text or a number."
        )
    if names is None:
        return str(image_id)
    for key in (image_id, str(image_id)):
        if key in names:
            return names[key]
    raise InputError(
        f"{path}: image_id {image_id!r} is not in the image list; pass the list the results were made with."
    )


def _names_of(images: Any, path: Path) -> dict[Any, str]:
    names: dict[Any, str] = {}
    for image in images if isinstance(images, list) else [None]:
        if not isinstance(image, dict) or not isinstance(image.get("file_name"), str):
            raise InputError(f"{path}: expected `images` with `id` and `file_name`, but got {shown(image)}.")
        number = image.get("id")
        if isinstance(number, bool) or not isinstance(number, (int, str)):
            raise InputError(f"{path}: expected `images` with `id` and `file_name`, but got {shown(image)}.")
        if names.setdefault(number, image["file_name"]) != image["file_name"]:
            raise InputError(
                f"{path}: `images` has the id {number!r} twice, {shown(names[number])} and "
                f"{shown(image['file_name'])}; number them apart."
            )
    return names


def _reader(records: list[tuple[int, dict[str, Any]]]) -> Reader:
    """Reader of annotations of one image, each with its place in the file."""

    def read(shape: Shape, min_score: float) -> Instances:
        parts, covered = [Instances.empty(shape)], 0
        for index, record in records:
            number = record.get("id")
            with _naming(f"annotation {index}" + (f" (id {shown(number)})" if number is not None else "")):
                score = finite_score(next((record[key] for key in _SCORES if record.get(key) is not None), None))
                if score >= min_score:
                    pixels = segmentation_pixels(record["segmentation"], shape)
                    covered += len(pixels)
                    if covered > MOST_COVERED * shape[0] * shape[1]:
                        raise InputError(
                            f"up to here the masks cover the image {MOST_COVERED} times, and that is the most"
                        )
                    parts.append(Instances.from_pixels(shape, [pixels], scores=[score]))
        return Instances.concatenate(parts)

    return read


@contextmanager
def _naming(what: str) -> Iterator[None]:
    try:
        yield
    except InputError as error:
        raise InputError(f"{what}: {error}") from error
