"""The way back: an export, perhaps corrected in another tool, as a label set of Parquet files again.

Everything is read from the files as they are now; the description tells classes and things, and keeps the
``labelset.json`` of the set it was made from. Decisions:

* what the format does not hold stays empty and is never invented: depth is 0 (unknown) everywhere, a segment without a
  score has 1.0, pixels of no segment are void. Only ``maskformer`` and ``cups`` hold a class map of their own;
* segment ids stay those of the COCO files; those of ``cityscapes`` and ``cups`` are numbered in order. In ``cups``, stuff
  is one segment per class, and pixels of a thing class outside every instance are void;
* the new ``labelset.json`` says what was imported, and its identity is that of the rows. If the label files are not those
  that were written, nobody knows who changed them: the set is no longer label-free, and its card says so.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mbps_dataset.arrays import SemanticMap
from mbps_dataset.errors import InputError
from mbps_dataset.formats import maskformer
from mbps_dataset.formats.class_tables import require_classes
from mbps_dataset.formats.description import Description
from mbps_dataset.formats.image_segmentation import Labels
from mbps_dataset.formats.layouts import FORMATS, label_digest
from mbps_dataset.formats.own_exports import Exported
from mbps_dataset.formats.target import whole_folder
from mbps_dataset.labelset import card
from mbps_dataset.labelset.document import count_segments
from mbps_dataset.labelset.document_file import write_document
from mbps_dataset.labelset.parquet_files import write_rows
from mbps_dataset.records import LabelledImage, encode, features
from mbps_dataset.store import file_digest
from mbps_dataset.store.progress import ProgressBar


CHANGED = "labels: changed outside of mbps-dataset after they were exported, perhaps by hand"

ROWS_PER_FILE = 1024


def import_labels(
    exported: Exported, target: Path, *, splits: Sequence[str] = (), progress: bool = False
) -> Description:
    """Write the label set of an export to `target`, label-only, and return its description.

    Raises `InputError` if `target` is not empty, a split is unknown or the export is damaged, `StoreError` if it cannot be written.
    """
    description = exported.description
    chosen = {split: description.splits[split] for split in exported.chosen(splits)}
    if "labelset" not in description.origin:
        raise InputError(f"{exported.root} does not say what it was made from; export the label set again.")
    with whole_folder(target) as folder:
        with ProgressBar("importing", sum(chosen.values()), show=progress) as bar:
            files = {split: _write_split(exported, split, folder / "data", bar) for split in chosen}
        document = _document(description, files, _is_changed(exported))
        write_document(folder / "labelset.json", document)
        (folder / "README.md").write_text(card.render(document), encoding="utf-8")
    return replace(description, splits=chosen)


def _write_split(exported: Exported, split: str, folder: Path, bar: ProgressBar) -> list[Path]:
    """Parquet files of a split, `ROWS_PER_FILE` rows each."""
    folder.mkdir(parents=True, exist_ok=True)
    readers = exported.readers((split,), None, None)
    count = max(1, -(-len(readers) // ROWS_PER_FILE))
    files, rows = [], _rows(exported, split, readers, bar)
    schema = features(exported.description.class_names, with_image=False).arrow_schema
    for number in range(count):
        files.append(folder / f"{split}-{number:05d}-of-{count:05d}.parquet")
        write_rows(files[-1], islice(rows, ROWS_PER_FILE), schema)
    return files


def _rows(
    exported: Exported, split: str, readers: Mapping[str, Callable[[], Labels]], bar: ProgressBar
) -> Iterator[dict[str, Any]]:
    """Encoded rows, one at a time."""
    description = exported.description
    for image_id, read in readers.items():
        labels = read()
        labelled = labelled_image(labels, description)
        if description.format == "maskformer":
            class_map = maskformer.class_map(exported.root, split, image_id)
            require_classes(class_map, len(description.class_names), f"{exported.root}: the class map of {image_id!r}",
                            void=description.void)  # fmt: skip
            labelled = replace(labelled, semantic=class_map)
        yield encode(labelled, len(description.class_names), description.palette(), with_image=False)
        bar.update()


def labelled_image(labels: Labels, description: Description) -> LabelledImage:
    """A row's maps and segments from labels as `Exported.readers` gives them."""
    ids = np.zeros(labels.semantic.shape, np.int32) if labels.instance is None else labels.instance.astype(np.int32)
    if description.format == "cups":
        ids = _with_stuff(ids, labels.semantic, description)
    if description.format in ("cityscapes", "cups"):
        present, inverse = np.unique(ids, return_inverse=True)
        numbered = np.arange(len(present), dtype=np.int32) + np.int32(present[0] != 0)
        ids = numbered[inverse].reshape(ids.shape)
    segments = _segments(ids, labels, description)
    numbers = {segment["id"]: k for k, segment in enumerate((s for s in segments if s["isthing"]), start=1)}
    instance = np.zeros(int(ids.max(initial=0)) + 1, np.int32)
    for segment_id, number in numbers.items():
        instance[segment_id] = number
    semantic = labels.semantic
    if description.format != "cups":
        semantic = np.where(ids > 0, semantic, description.void)
    kind = np.uint8 if description.void == 255 else np.uint16
    depth = np.zeros(ids.shape, np.float32)
    return LabelledImage(labels.image_id, None, semantic.astype(kind), depth, instance[ids], ids, segments)


def _with_stuff(ids: NDArray[np.int32], semantic: SemanticMap, description: Description) -> NDArray[np.int32]:
    """CUPS' instances and, numbered after them, a segment for each stuff class."""
    ids = ids.copy()
    last = int(ids.max(initial=0))
    for class_id in range(len(description.class_names)):
        if class_id not in description.things:
            ids[(ids == 0) & (semantic == class_id)] = last + 1 + class_id
    return ids


def _segments(ids: NDArray[np.integer], labels: Labels, description: Description) -> list[dict[str, Any]]:
    """Segments by rising id, measured on the maps."""
    areas, found = np.bincount(ids.ravel()), []
    for segment_id, box in enumerate(ndimage.find_objects(ids.astype(np.int32)), start=1):
        if box is None:
            continue
        rows, columns = box
        classes = np.unique(labels.semantic[box][ids[box] == segment_id]).tolist()
        if classes == [description.void] or len(classes) > 1:
            what = " and ".join("void" if k == description.void else description.class_names[k] for k in classes[:2])
            raise InputError(
                f"image {labels.image_id!r}: the instance around row {rows.start}, column {columns.start} is of {what} in "
                "the class map; correct one of the two maps."
            )
        category = int(classes[0])
        found.append({
            "id": segment_id, "category_id": category, "isthing": category in description.things,
            "area": int(areas[segment_id]),
            "bbox": [columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start],
            "score": labels.scores.get(segment_id, 1.0),
        })  # fmt: skip
    return found


def _is_changed(exported: Exported) -> bool:
    return label_digest(exported.root, exported.description.format) != exported.description.origin.get("labels")


def _document(description: Description, files: dict[str, list[Path]], changed: bool) -> dict[str, Any]:
    """The ``labelset.json`` of an imported set: that of the original, with what is here now."""
    document = copy.deepcopy(description.origin["labelset"])
    digests = {path.name: file_digest(path) for paths in files.values() for path in paths}
    rows = hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()
    document["imported"] = {
        "format": description.format, "from_identity": description.origin["identity"],
        "not_held": FORMATS[description.format].NOT_HELD, "changed_after_export": changed,
    }  # fmt: skip
    if changed:
        document["ground_truth_used"] = [*document["ground_truth_used"], CHANGED]
    document["identity"] = hashlib.sha256(f"imported {document['identity']} {rows}".encode()).hexdigest()
    document["splits"] = list(files)
    document["counts"] = {split: count_segments(paths, description.class_names) for split, paths in files.items()}
    document["digests"] = document.get("digests", {}) | {"rows": rows}
    document["files"] = digests
    document["recipe"]["settings"]["output"] |= {"with_images": False, "with_preview": False}
    return document
