"""Opens a whole set of segmentations, from files or memory, and pairs predictions with ground truth.

Accepted by `open_labels`: what `mbps export` wrote, in any of its formats, or one split of it; a COCO panoptic JSON next
to its PNG folder, a Cityscapes ``gtFine`` tree (or the Cityscapes root), a folder of maps, a mapping by image id, and any iterable of rows with ``image_id``. Images are read when asked
for, one at a time. Decisions (ours): an image on one side only is an error, not a silent skip; an image id that occurs
twice is one too; categories of a COCO file are taken by *name* where names are those of the class table, because the
numbering differs between converters.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mbps_dataset import taxonomy
from mbps_dataset.errors import InputError
from mbps_dataset.formats.description import Description
from mbps_dataset.formats.image_segmentation import (
    VOID,
    Labels,
    as_labels,
    cityscapes_labels,
    labels_from_segments,
    read_map,
)
from mbps_dataset.formats.own_exports import Exported, find_export


_MAP_SUFFIXES = (".png", ".npy", ".npz")


class LabelSource(Mapping[str, Labels]):
    """Labels by image id, each read when asked for.

    `name` says in errors where they are from; `class_of` is the mapping of category ids they are read with, or None;
    `label_set` describes the label set they are an export of, or None.
    """

    def __init__(
        self,
        readers: Mapping[str, Callable[[], Labels]],
        name: str,
        class_of: Mapping[int, int] | None = None,
        label_set: Description | None = None,
    ) -> None:
        self._readers, self.name, self.class_of, self.label_set = readers, name, class_of, label_set

    def __getitem__(self, image_id: str) -> Labels:
        return self._readers[image_id]()

    def __contains__(self, image_id: object) -> bool:
        return image_id in self._readers  # without reading the labels, as Mapping would

    def __iter__(self) -> Iterator[str]:
        return iter(self._readers)

    def __len__(self) -> int:
        return len(self._readers)


def open_labels(
    source: Any,
    *,
    classes: int = 19,
    class_of: Mapping[int, int] | None = None,
    void: int | None = None,
    splits: Sequence[str] = (),
) -> LabelSource:
    """All labels of `source`, a path or an in-memory collection, in the forms above.

    `classes` (27, 19 or 7) selects the class table for Cityscapes trees and for category names of COCO files; for
    `class_of` and `void` see `as_labels`, None for an export's own void or 255; `splits` chooses splits of an export.
    Raises `InputError` for what cannot be read and for image ids that occur twice.
    """
    if isinstance(source, LabelSource):
        return source
    if isinstance(source, (str, Path)):
        path = Path(source).expanduser()
        exported = find_export(path) if path.exists() else None
        if exported is not None:
            return _open_export(exported, classes, class_of, void, splits)
        return _open_path(path, classes, class_of, VOID if void is None else void)
    void = VOID if void is None else void
    if isinstance(source, Mapping):
        readers = {str(k): _reader(value, str(k), class_of, void) for k, value in source.items()}
        return LabelSource(readers, "labels")
    readers = {}
    for number, item in enumerate(source):
        image_id = str(item["image_id"]) if isinstance(item, Mapping) and "image_id" in item else _id_of(item, number)
        _add(readers, image_id, _reader(item, image_id, class_of, void))
    return LabelSource(readers, "labels")


def open_pair(
    predictions: Any, truth: Any, *, classes: int = 19, void: int | None = None, splits: Sequence[str] = ()
) -> tuple[LabelSource, LabelSource]:
    """`open_labels` for both sides; `void` and `splits` are those of the predictions.

    A COCO prediction without ``categories``, which panopticapi allows, takes its categories from the truth.
    """
    true = open_labels(truth, classes=classes)
    pred = open_labels(predictions, classes=classes, void=void, splits=splits)
    is_json = isinstance(predictions, (str, Path)) and Path(predictions).suffix == ".json"
    if is_json and pred.label_set is None and pred.class_of is None and true.class_of is not None:
        pred = open_labels(predictions, classes=classes, class_of=true.class_of, void=void)
    return pred, true


def pairs(
    predictions: LabelSource, truth: LabelSource, *, only_predicted: bool = False
) -> Iterator[tuple[str, Labels, Labels]]:
    """Prediction and truth of every image, sorted by image id.

    Raises `InputError` naming the first image that only one side has; `only_predicted` accepts truth without
    prediction, for scoring a part of a set.
    """
    check_pairs(predictions, truth, only_predicted=only_predicted)
    for image_id in sorted(predictions):
        yield image_id, predictions[image_id], truth[image_id]


def check_pairs(predictions: LabelSource, truth: LabelSource, *, only_predicted: bool = False) -> None:
    """Raises `InputError` unless both sides have the same images; see `pairs`."""
    without_truth = sorted(set(predictions) - set(truth))
    without_prediction = sorted(set(truth) - set(predictions))
    if without_truth:
        raise InputError(
            f"image {without_truth[0]!r} is predicted but has no ground truth ({len(without_truth)} of "
            f"{len(predictions)} images); compare the file names of {predictions.name} and {truth.name}."
        )
    if without_prediction and not only_predicted:
        raise InputError(
            f"image {without_prediction[0]!r} has ground truth but no prediction ({len(without_prediction)} of "
            f"{len(truth)} images); predict it, or ask for a partial score."
        )


def _open_export(
    exported: Exported,
    classes: int,
    class_of: Mapping[int, int] | None,
    void: int | None,
    splits: Sequence[str],
) -> LabelSource:
    """Classes with names are taken to the class table by name; pseudo-classes keep their ids."""
    description = exported.description
    if class_of is None and description.named:
        known = {name: number for number, name in _numbered_names(classes)}
        class_of = {k: known[name] for k, name in enumerate(description.class_names) if name in known}
    return LabelSource(exported.readers(splits, class_of, void), str(exported.root), class_of, description)


def _open_path(path: Path, classes: int, class_of: Mapping[int, int] | None, void: int) -> LabelSource:
    if not path.exists():
        raise InputError(f"{path} does not exist; give a COCO panoptic JSON, a gtFine tree or a folder of maps.")
    if path.is_file():
        if path.suffix == ".json":
            return _open_coco(path, classes, class_of, void)
        return LabelSource({path.stem: _reader(path, path.stem, class_of, void)}, str(path))
    if (path / "gtFine").is_dir():
        path = path / "gtFine"
    label_files = sorted(path.rglob("*_labelIds.png"))
    if label_files:
        return _open_cityscapes(label_files, classes, str(path))
    readers: dict[str, Callable[[], Labels]] = {}
    for file in sorted(p for p in path.rglob("*") if p.suffix in _MAP_SUFFIXES):
        _add(readers, file.stem, _reader(file, file.stem, class_of, void))
    if not readers:
        raise InputError(f"{path} holds no *_labelIds.png and no {', '.join(_MAP_SUFFIXES)} map.")
    return LabelSource(readers, str(path))


def _open_coco(path: Path, classes: int, class_of: Mapping[int, int] | None, void: int) -> LabelSource:
    """``X.json`` with its PNGs in ``X/``, as panopticapi and cityscapesScripts write them."""
    data = json.loads(path.read_text())
    if not isinstance(data, dict) or "annotations" not in data:
        raise InputError(f"{path} has no `annotations`; expected a COCO panoptic file.")
    folder = path.with_suffix("")
    class_of = _classes_by_name(data.get("categories", ()), classes) if class_of is None else class_of
    readers: dict[str, Callable[[], Labels]] = {}
    for annotation in data["annotations"]:
        image_id = Path(annotation["file_name"]).stem.removesuffix("_gtFine_panoptic")

        def read(annotation: Mapping[str, Any] = annotation, image_id: str = image_id) -> Labels:
            ids = read_map(folder / annotation["file_name"], image_id)
            return labels_from_segments(ids, annotation["segments_info"], image_id, class_of, void)

        _add(readers, image_id, read)
    return LabelSource(readers, str(path), class_of)


def _classes_by_name(categories: Iterable[Mapping[str, Any]], classes: int) -> dict[int, int] | None:
    """Category ids to class ids where names are those of the class table; None (keep ids) if no name is."""
    by_name = {name: number for number, name in _numbered_names(classes)}
    found = {int(item["id"]): by_name[item["name"]] for item in categories if item.get("name") in by_name}
    return found or None


def _numbered_names(classes: int) -> list[tuple[int, str]]:
    """Class id and name; among the 7 groups every class has the id of its group."""
    numbered = list(enumerate(class_names(classes)))
    if classes == 7:
        numbered += [(taxonomy.CATEGORIES.index(c.category), c.name) for c in taxonomy.CLASSES_27 if c.name != "sky"]
    return numbered


def _open_cityscapes(label_files: Sequence[Path], classes: int, name: str) -> LabelSource:
    table = {
        27: taxonomy.LABEL_ID_TO_27,
        19: taxonomy.LABEL_ID_TO_TRAIN_ID,
        7: taxonomy.LABEL_ID_TO_7,
    }[classes]
    readers: dict[str, Callable[[], Labels]] = {}
    for file in label_files:
        image_id = file.name.removesuffix("_labelIds.png").removesuffix("_gtFine")

        def read(file: Path = file, image_id: str = image_id) -> Labels:
            label_ids = read_map(file, image_id)
            instance_file = file.with_name(file.name.replace("_labelIds.png", "_instanceIds.png"))
            instance_ids = read_map(instance_file, image_id) if instance_file.is_file() else None
            return cityscapes_labels(label_ids, instance_ids, table, image_id)

        _add(readers, image_id, read)
    return LabelSource(readers, name)


def class_names(classes: int) -> tuple[str, ...]:
    """Names of the 27, 19 or 7 Cityscapes classes by class id."""
    tables = {27: taxonomy.NAMES_27, 19: taxonomy.NAMES_19, 7: taxonomy.CATEGORIES}
    if classes not in tables:
        raise InputError(f"Class tables exist for 27, 19 and 7 classes, not for {classes}.")
    return tables[classes]


def _reader(value: Any, image_id: str, class_of: Mapping[int, int] | None, void: int) -> Callable[[], Labels]:
    return lambda: as_labels(value, image_id, class_of=class_of, void=void)


def _id_of(item: Any, number: int) -> str:
    return Path(item).stem if isinstance(item, (str, Path)) else str(number)


def _add(readers: dict[str, Callable[[], Labels]], image_id: str, reader: Callable[[], Labels]) -> None:
    if image_id in readers:
        raise InputError(f"image {image_id!r} occurs twice; every image may count once.")
    readers[image_id] = reader
