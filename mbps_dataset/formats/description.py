"""What an exported folder says about itself, and one row on its way there.

Every export ends with ``mbps_export.json``: format, classes, which of them are things, void, splits, and what made the
labels. A reader needs it because no common format says whether class ids are names or clusters; whoever copies files
without it gets them read as any other file of that format.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from mbps_dataset import taxonomy
from mbps_dataset.arrays import InstanceMap, SemanticMap
from mbps_dataset.errors import InputError
from mbps_dataset.labelset.document_form import fault_of_document
from mbps_dataset.reading.json_documents import read_json
from mbps_dataset.reading.names import fault_of_name, shown


MARKER = "mbps_export.json"
VERSION = 1
_MOST_BYTES = 1 << 28

_SPLIT_NAMES = {"validation": "val"}
_ESCAPED = '%/\\:*?"<>|'


@dataclass(frozen=True)
class Description:
    """An export as ``mbps_export.json`` holds it.

    `class_names` by class id; `things` class ids; `named`: ids are Cityscapes train ids, else clusters; `void` of class
    maps in memory, 255 or 65535; `splits` maps a split's name to its number of images; `options` of the format;
    `origin` says what made the labels, with the whole ``labelset.json`` without paths under "labelset", and
    the digest of the label files under "labels".
    """

    format: str
    class_names: tuple[str, ...]
    things: tuple[int, ...]
    named: bool
    void: int
    splits: Mapping[str, int] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    origin: Mapping[str, Any] = field(default_factory=dict)

    def palette(self) -> NDArray[np.uint8]:
        """Colours by class id, uint8 [K, 3]: Cityscapes' where classes are named, else generated."""
        if self.named:
            return taxonomy.class_palette(taxonomy.CLASSES_19)
        return taxonomy.pseudo_class_palette(len(self.class_names))

    def summary(self) -> dict[str, Any]:
        """`origin` without the whole ``labelset.json``, for formats that have room for a note."""
        return {key: value for key, value in self.origin.items() if key != "labelset"}

    def to_json(self) -> str:
        return json.dumps({"version": VERSION, **asdict(self)}, indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def read(cls, path: Path) -> Description:
        """Read ``mbps_export.json``, the names of its splits checked. Raises `InputError` if it is none, or of a later version."""
        try:
            document = read_json(path, most_bytes=_MOST_BYTES, nan=True)
            if not isinstance(document, dict) or type(document.get("version")) is not int:
                raise ValueError("it states no version")
            version = document.pop("version")
            if version > VERSION:
                raise InputError(f"{path}: written by a later mbps-dataset (version {version}); update to read it.")
            document |= {key: tuple(document[key]) for key in ("class_names", "things")}
            described = cls(**document)
            if fault := _fault(described):
                raise ValueError(fault)
            return described
        except InputError:
            raise
        except OSError as error:
            raise InputError(
                f"{path}: cannot be read ({error.strerror}); check the file and its permissions."
            ) from None
        except KeyError as error:
            raise InputError(
                f"{path}: not the description of an export (lacks {error.args[0]}); export again."
            ) from None
        except (ValueError, TypeError) as error:
            raise InputError(f"{path}: not the description of an export ({error}); export again.") from None


def _fault(described: Description) -> str | None:
    """What is wrong with a description that was read, as a clause; None if nothing is."""
    if not described.class_names or not all(isinstance(name, str) for name in described.class_names):
        return "class_names is no list of names"
    classes = range(len(described.class_names))
    if not all(type(k) is int and k in classes for k in described.things):
        return f"things names no class: {shown(described.things)}"
    if not isinstance(described.format, str) or not isinstance(described.named, bool):
        return "format is no text, or named is neither true nor false"
    if described.void not in (255, 65_535) or described.void < len(classes):
        return f"void is {shown(described.void)}, but must be 255, or 65535 above 254 classes"
    for what in ("splits", "options", "origin"):
        if not isinstance(getattr(described, what), dict):
            return f"{what} is no object"
    for split, images in described.splits.items():
        if fault := fault_of_name(split):
            return f"a split's name: {fault}"
        if type(images) is not int or images < 0:
            return f"the split {split} counts {shown(images)} images"
    if "labelset" not in described.origin:
        return None
    if not isinstance(described.origin["labelset"], dict):
        return "origin.labelset is no object"
    fault = fault_of_document(described.origin["labelset"])
    return None if fault is None else f"origin.labelset: {fault}"


@dataclass(frozen=True)
class LabelRow:
    """Labels of one image on their way into a format; see `mbps_dataset.records.LabelledImage` for the maps.

    `semantic_png` are the bytes of the dataset's own `semantic` column, for formats that can take them as they are.
    """

    image_id: str
    semantic_png: bytes
    semantic: SemanticMap
    panoptic: InstanceMap
    segments: Sequence[Mapping[str, Any]]

    def things(self) -> list[Mapping[str, Any]]:
        """Thing segments in order: the k-th one is instance k of the `instance` column."""
        return [segment for segment in self.segments if segment["isthing"]]

    def painted(self, values: Mapping[int, int], dtype: type[np.integer], otherwise: int = 0) -> NDArray[np.integer]:
        """Map [H, W] of a value per segment id; `otherwise` where there is none."""
        table = np.full(max([int(self.panoptic.max(initial=0)), *values]) + 1, otherwise, dtype=dtype)
        for segment_id, value in values.items():
            table[segment_id] = value
        return table[self.panoptic]


class FormatWriter(Protocol):
    """Writes one split of a label set in some format."""

    def write(self, row: LabelRow) -> None:
        """Write one image's files. Raises `InputError` if it does not fit the format."""

    def close(self) -> None:
        """Finish the split."""


def split_folder(split: str) -> str:
    """The name of a split in file names: "validation" is "val" in COCO and Cityscapes."""
    return _SPLIT_NAMES.get(split, split)


def file_stem(image_id: str) -> str:
    """`image_id` as one file name: separators and what file systems refuse are written as ``%XX``, as in web addresses.

    >>> file_stem("a/b"), file_stem(".."), image_id_of("a%2Fb")
    ('a%2Fb', '%2E.', 'a/b')
    """
    escaped = "".join(f"%{ord(c):02X}" if c in _ESCAPED or ord(c) < 32 else c for c in image_id)
    return f"%2E{escaped[1:]}" if escaped.startswith(".") else escaped


def image_id_of(stem: str) -> str:
    """Inverse of `file_stem`."""
    return unquote(stem)
