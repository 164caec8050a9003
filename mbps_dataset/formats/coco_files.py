"""COCO panoptic files that somebody else wrote: ``X.json`` with its PNGs in ``X/``.

panopticapi, cityscapesScripts, detectron2 (``predictions.json``) and mmdetection (``X.panoptic.json``) write them.
Decisions:

* read by the format: categories by *name* where the file has them, because numbering differs between converters, and
  never by those of the other side; a file without ``categories``, which panopticapi allows for predictions, has the ids
  of the ground truth it is scored against;
* where panopticapi raises, so does this: a category that is not in ``categories``, an id in the PNG that is not listed or
  listed and not in the PNG. And so where it would take the last of two entries: an id, an image or a category twice.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mbps_dataset.errors import InputError
from mbps_dataset.formats.class_tables import class_names, named_classes
from mbps_dataset.formats.image_segmentation import VOID, Labels, labels_from_segments
from mbps_dataset.formats.label_source import ENDINGS, LabelSource
from mbps_dataset.reading.json_documents import read_json
from mbps_dataset.reading.names import shown
from mbps_dataset.reading.segments_info import as_integer, listed_segments
from mbps_dataset.sources.membership import file_id


MOST_BYTES = 2_000_000_000
"""Of a JSON file; that of COCO's 118 000 training images has 350 million."""


@dataclass(frozen=True)
class Category:
    """One entry of ``categories``; `name` and `is_thing` None where the file says nothing."""

    id: int
    name: str | None
    is_thing: bool | None


@dataclass(frozen=True)
class CocoPanoptic:
    """A file whose structure was checked; `annotations` by image id of ours, the PNG's path without suffix."""

    path: Path
    categories: Mapping[int, Category]
    annotations: Mapping[str, Mapping[str, Any]]


def read_coco(path: Path, endings: Sequence[str] = ENDINGS) -> CocoPanoptic:
    """Read and check a file; `endings` are no part of an image's name. Raises `InputError` naming it and what is wrong for anything that is no COCO panoptic file."""
    try:
        document = read_json(path, most_bytes=MOST_BYTES)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is no COCO panoptic file ({error}); give the JSON that lies beside the folder of its "
                         "PNGs.") from None  # fmt: skip
    if not isinstance(document, dict) or not isinstance(document.get("annotations"), list):
        raise InputError(f"{path} has no `annotations`; expected a COCO panoptic file.")
    annotations: dict[str, Mapping[str, Any]] = {}
    numbers: set[str] = set()
    for position, annotation in enumerate(document["annotations"]):
        if not isinstance(annotation, dict) or not _is_file_name(annotation.get("file_name")):
            raise InputError(f"{path}: annotation {position} has no `file_name`, so this is no COCO panoptic file; masks "
                             "of a detector are given with --detections.")  # fmt: skip
        image_id = file_id(annotation["file_name"], endings)
        number = _image_number(annotation, image_id, path)
        if image_id in annotations or number in numbers:
            raise InputError(
                f"{path}: image {image_id!r} (image_id {number}) occurs twice; every image may count once."
            )
        annotations[image_id] = annotation
        numbers.add(number)
    return CocoPanoptic(path, _categories(document.get("categories") or [], path), annotations)


def _is_file_name(value: Any) -> bool:
    return isinstance(value, str) and bool(Path(value).name)


def _image_number(annotation: Mapping[str, Any], image_id: str, path: Path) -> str:
    """COCO's ``image_id`` as text, or `image_id` where there is none."""
    number = annotation.get("image_id")
    if number is not None and (isinstance(number, bool) or not isinstance(number, (int, str))):
        raise InputError(f"{path}: image {image_id!r} has the image_id {shown(number)}; give a number or a name.")
    return image_id if number is None else str(number)


def _categories(entries: Any, path: Path) -> dict[int, Category]:
    found: dict[int, Category] = {}
    by_name: dict[str | None, Category] = {}
    if not isinstance(entries, list):
        raise InputError(f"{path}: `categories` must be a list, but is {type(entries).__name__}.")
    for entry in entries:
        if not isinstance(entry, dict) or "id" not in entry:
            raise InputError(f"{path}: a category has no `id`.")
        number = as_integer(entry["id"], f"{path}: the id of a category")
        name, is_thing = entry.get("name"), entry.get("isthing")
        if name is not None and not isinstance(name, str):
            raise InputError(f"{path}: category {number} is called {shown(name)}, which is no text.")
        same = found.get(number) or by_name.get(name)
        if same is not None:
            raise InputError(f"{path}: the categories {same.id} {same.name!r} and {number} {name!r} have one id or one "
                             "name; give every category its own.")  # fmt: skip
        found[number] = Category(number, name, None if is_thing is None else bool(is_thing))
        if name is not None:
            by_name[name] = found[number]
    return found


def open_coco(
    path: Path,
    classes: int,
    class_of: Mapping[int, int] | None,
    void: int | None,
    *,
    clusters: bool,
    without_categories: Mapping[int, int] | None = None,
) -> LabelSource:
    """Labels of a COCO panoptic file.

    `clusters` keeps category ids; else they are classes, by name, or by id where the file has no names; a file without
    `categories` has those of `without_categories`, if given. Raises `InputError` for unknown names and ids.
    """
    coco = read_coco(path)
    known: Collection[int] = coco.categories.keys()
    if class_of is None and not clusters:
        class_of = without_categories if not known and without_categories else _class_of(coco, classes)
    if not known and class_of is not None:
        known = class_of.keys()
    if void is None:
        highest = max(known, default=0)
        void = VOID if highest < VOID or class_of is not None else max(65_535, highest + 1)
    read = {image_id: _reader(coco, image_id, known, class_of, void) for image_id in coco.annotations}
    number_of = {image_id: _image_number(each, image_id, path) for image_id, each in coco.annotations.items()}
    is_thing = (
        {c.id: c.is_thing for c in coco.categories.values() if c.is_thing is not None} if class_of is None else {}
    )
    return LabelSource(read, str(path), class_of, image_ids=number_of, is_thing=is_thing, void=void)


def _class_of(coco: CocoPanoptic, classes: int) -> dict[int, int]:
    """Class ids by category id; a file without names has class ids already."""
    names = {category.id: category.name for category in coco.categories.values() if category.name is not None}
    unnamed = [number for number in coco.categories if number not in names]
    if names:
        if unnamed:
            raise InputError(
                f"{coco.path}: category {unnamed[0]} has no name ({len(unnamed)} such); name all of them."
            )
        return named_classes(names, classes, str(coco.path))
    own = range(len(class_names(classes)))
    if strange := [number for number in unnamed if number not in own]:
        raise InputError(f"{coco.path}: category {strange[0]} has no name and is no class id of the {classes} classes "
                         f"(0-{classes - 1}); give every category its name in Cityscapes.")  # fmt: skip
    return {number: number for number in own}


def _reader(
    coco: CocoPanoptic, image_id: str, known: Collection[int], class_of: Mapping[int, int] | None, void: int
) -> Callable[[], Labels]:
    annotation = coco.annotations[image_id]
    picture = coco.path.with_suffix("") / annotation["file_name"]

    def read() -> Labels:
        segments = annotation.get("segments_info")
        where = f"{coco.path}: image {image_id!r}"
        for segment in listed_segments(segments, where).values():
            if segment.id == 0:
                raise InputError(f"{where}: a segment has the id 0, which is void in its PNG; number segments from 1.")
            if known and segment.category_id not in known:
                raise InputError(f"{where}: segment {segment.id} has the category {segment.category_id}, which is not in "
                                 "`categories`; list it there, or correct it.")  # fmt: skip
        return labels_from_segments(picture, segments, image_id, class_of, void)

    return read
