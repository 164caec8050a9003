"""Ground truth in COCO's panoptic form: a JSON that lists segments, and PNGs whose colours are their ids.

Categories are named, and the names lead to Cityscapes' classes; a name that leads nowhere is an error, as are an id of the PNG
that is not listed, one that is listed and not in the PNG, and two entries of one file. A segment with ``iscrowd`` is a group.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mbps_dataset import taxonomy
from mbps_dataset.errors import InputError
from mbps_dataset.reading.json_documents import read_json
from mbps_dataset.reading.segments_info import listed_segments
from mbps_dataset.sources.class_table import colours_as_numbers, truth_of
from mbps_dataset.sources.frame import Truth
from mbps_dataset.sources.labelled import read_colours


_MOST_BYTES = 2_000_000_000


@dataclass(frozen=True)
class Annotation:
    """One image: ``file_name`` of its PNG, that of its picture ("" where the file does not say), and its segments."""

    png: str
    picture: str
    segments: Any


@dataclass(frozen=True)
class PanopticFile:
    """A JSON that was read; `label_id_of` gives the label id in Cityscapes by category id."""

    path: Path
    label_id_of: Mapping[int, int]
    annotations: tuple[Annotation, ...]

    def truth(self, annotation: Annotation, png: Path) -> Truth:
        """The truth of one image, whose PNG lies at `png`. Raises `InputError` naming the files."""
        where = f"{self.path}: {annotation.png}"
        segments = listed_segments(annotation.segments, where)
        numbers = colours_as_numbers(read_colours(png, "RGB"))
        present, which = np.unique(numbers, return_inverse=True)
        ids = present.tolist()
        if strange := sorted(set(ids) - {0} ^ set(segments)):
            place = "in the PNG and not listed" if strange[0] in ids else "listed and not in the PNG"
            raise InputError(
                f"{where}: segment {strange[0]} is {place} ({len(strange)} such); the two are not of one image."
            )
        unknown = [segment for segment in segments.values() if segment.category_id not in self.label_id_of]
        if unknown:
            raise InputError(f"{where}: segment {unknown[0].id} has the category {unknown[0].category_id}, which is not in "
                             "`categories`; list it there.")  # fmt: skip
        labels = [self.label_id_of[segments[k].category_id] if k else 0 for k in ids]
        objects = [k if k and not segments[k].is_crowd else 0 for k in ids]
        which = which.reshape(numbers.shape)
        return truth_of(np.array(labels, np.uint8)[which], np.array(objects, np.int64)[which], str(png))


def read_panoptic_file(path: Path, names: Mapping[str, str] | None = None) -> PanopticFile:
    """Read and check a file; `names` are names in Cityscapes by those of the file's categories, beside Cityscapes' own.

    Raises `InputError` naming the file and what is wrong.
    """
    try:
        document = read_json(path, most_bytes=_MOST_BYTES)
        pictures = {image["id"]: str(image.get("file_name", "")) for image in document.get("images", ())}
        found = tuple(
            Annotation(str(each["file_name"]), pictures.get(each.get("image_id"), ""), each["segments_info"])
            for each in document["annotations"]
        )
        categories = {int(each["id"]): str(each["name"]) for each in document["categories"]}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: cannot be read as a COCO panoptic file ({error!r}); copy it again.") from None
    known = dict(names or {}) | {name: name for name in taxonomy.LABEL_ID_OF_NAME}
    if unknown := [name for name in categories.values() if name not in known]:
        raise InputError(f"{path}: the category {unknown[0]!r} ({len(unknown)} such) is no class of Cityscapes; name categories as "
                         "Cityscapes does.")  # fmt: skip
    if twice := _first_twice(annotation.png for annotation in found):
        raise InputError(f"{path}: {twice} is annotated twice; every image may count once.")
    label_ids = {number: taxonomy.LABEL_ID_OF_NAME[known[name]] for number, name in categories.items()}
    return PanopticFile(path, label_ids, found)


def _first_twice(names: Iterator[str]) -> str:
    seen: set[str] = set()
    return next((name for name in names if name in seen or seen.add(name)), "")  # type: ignore[func-returns-value]
