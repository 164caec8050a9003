"""Opens a whole set of segmentations, from files or memory.

Accepted by `open_labels`: what `mbps export` wrote, in any of its formats, or one split of it; a COCO panoptic JSON next
to its PNG folder, a Cityscapes ``gtFine`` tree (or the Cityscapes root), a folder of maps, a mapping by image id, and any
iterable of rows with ``image_id``. Images are read when asked for, one at a time. Decisions (ours):

* an image id that occurs twice is an error; what belongs to a folder, and the ids of its files, is the one rule of
  `mbps_dataset.sources.membership`, except that files of a Cityscapes tree have Cityscapes' names for ids;
* in files, every id is a class of the table, or void as the form defines it, or an error that names file and id; only
  predictions that are said to be `clusters` keep whatever ids they have. Collections in memory keep their ids;
* a map of 16 bits may have 65535 for void, as ours have, in place of 255.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mbps_dataset import taxonomy
from mbps_dataset.errors import InputError
from mbps_dataset.formats.class_tables import LABEL_ID_TABLES, class_names, classes_of_train_ids, require_classes
from mbps_dataset.formats.coco_files import open_coco
from mbps_dataset.formats.image_segmentation import VOID, Labels, as_labels, cityscapes_labels, read_map
from mbps_dataset.formats.label_source import ENDINGS, LabelSource
from mbps_dataset.formats.own_exports import Exported, find_export
from mbps_dataset.sources.membership import file_id, find_files


_MAP_SUFFIXES = (".png", ".npy", ".npz")
_LABEL_IDS = "_labelids.png"
_SPLIT_FOLDERS = {"train": "train", "validation": "val", "val": "val", "test": "test"}
_CLUSTERS = np.where(np.arange(256) == 0, VOID, np.arange(256)).astype(np.uint8)  # 0 is Cityscapes' unlabeled


def open_labels(
    source: Any,
    *,
    classes: int = 19,
    class_of: Mapping[int, int] | None = None,
    void: int | None = None,
    splits: Sequence[str] = (),
    clusters: bool = False,
) -> LabelSource:
    """All labels of `source`, a path or an in-memory collection, in the forms above.

    `classes` (27, 19 or 7) selects the class table; for `class_of` and `void` see `as_labels`, None for an export's own
    void or 255; `splits` chooses splits of an export or a Cityscapes tree; `clusters` keeps ids as they are. Raises
    `InputError` for what cannot be read, unknown ids and names, image ids that occur twice, and splits of a form that has
    none.
    """
    if isinstance(source, LabelSource):
        return source
    if isinstance(source, (str, Path)):
        path = Path(source).expanduser()
        exported = find_export(path) if path.exists() else None
        if exported is not None:
            return _open_export(exported, classes, class_of, void, splits)
        return _open_path(path, classes, class_of, void, splits, clusters=clusters)
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
    predictions: Any,
    truth: Any,
    *,
    classes: int = 19,
    void: int | None = None,
    splits: Sequence[str] = (),
    clusters: bool = False,
) -> tuple[LabelSource, LabelSource]:
    """`open_labels` for both sides; `void` and `clusters` are those of the predictions, `splits` of either side.

    A COCO prediction without ``categories``, which panopticapi allows, takes its categories from the truth. Raises
    `InputError` as `open_labels` does, and if neither side has splits to choose from.
    """
    if splits and not any(has_splits(side) for side in (predictions, truth)):
        _refuse_splits(predictions, splits)
    chosen = [tuple(splits) if splits and has_splits(side) else () for side in (predictions, truth)]
    true = open_labels(truth, classes=classes, splits=chosen[1])
    require_named(true)
    if isinstance(predictions, (str, Path)) and _is_json(Path(predictions)):
        path = Path(predictions).expanduser()
        if not (path.exists() and find_export(path)):
            return open_coco(path, classes, None, void, clusters=clusters, without_categories=true.class_of), true
    return open_labels(predictions, classes=classes, void=void, splits=chosen[0], clusters=clusters), true


def require_named(truth: LabelSource) -> None:
    """Raises `InputError` if the classes of a label set that is to be the truth are clusters."""
    if truth.label_set is not None and not truth.label_set.named:
        raise InputError(f"{truth.name}: its classes are clusters, which are no ground truth; give labels whose classes "
                         "are named.")  # fmt: skip


def has_splits(source: Any) -> bool:
    """Whether splits of `source` can be chosen: it is an export of ours, or a Cityscapes tree with folders of splits."""
    if not isinstance(source, (str, Path)):
        return False
    path = Path(source).expanduser()
    return path.exists() and (find_export(path) is not None or bool(_split_folders(path)))


def _split_folders(path: Path) -> dict[str, Path]:
    root = path / "gtFine" if (path / "gtFine").is_dir() else path
    return {split: root / folder for split, folder in _SPLIT_FOLDERS.items() if (root / folder).is_dir()}


def _refuse_splits(source: Any, splits: Sequence[str]) -> None:
    what = source if isinstance(source, (str, Path)) else "a collection in memory"
    raise InputError(f"{what} has no splits, so {splits[0]!r} cannot be chosen; leave out --split, and give the files of "
                     "that split.")  # fmt: skip


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
        class_of = classes_of_train_ids(description.class_names, classes, str(exported.root))
    return LabelSource(exported.readers(splits, class_of, void), str(exported.root), class_of, description)


def _open_path(
    path: Path,
    classes: int,
    class_of: Mapping[int, int] | None,
    void: int | None,
    splits: Sequence[str],
    *,
    clusters: bool,
) -> LabelSource:
    if not path.exists():
        raise InputError(f"{path} does not exist; give a COCO panoptic JSON, a gtFine tree or a folder of maps.")
    folders = _split_folders(path)
    if splits and not folders:
        _refuse_splits(path, splits)
    if unknown := [split for split in splits if split not in folders]:
        raise InputError(f"{path}: no split {unknown[0]!r}; there is {', '.join(folders)}.")
    if _is_json(path):
        return open_coco(path, classes, class_of, void, clusters=clusters)
    known = None if clusters or class_of is not None else classes
    void = VOID if void is None else void
    found = find_files(path / "gtFine" if (path / "gtFine").is_dir() else path, _MAP_SUFFIXES)
    files = [each for each in found.named() if not splits or any(each.is_relative_to(folders[k]) for k in splits)]
    if label_files := [each for each in files if each.name.lower().endswith(_LABEL_IDS)]:
        return _open_cityscapes(label_files, _CLUSTERS if clusters else LABEL_ID_TABLES[classes], str(path))
    readers: dict[str, Callable[[], Labels]] = {}
    for file in files:
        image_id = found.id_of(file)
        _add(readers, image_id, _map_reader(file, image_id, class_of, void, known))
    if not readers:
        raise InputError(f"{path} holds no *_labelIds.png and no {', '.join(_MAP_SUFFIXES)} map.")
    return LabelSource(readers, str(path), void=void)


def _is_json(path: Path) -> bool:
    return path.suffix.lower() == ".json" and not path.is_dir()


def _map_reader(
    file: Path, image_id: str, class_of: Mapping[int, int] | None, void: int, classes: int | None
) -> Callable[[], Labels]:
    """Reader of a map; `classes` is the number of classes its ids must belong to, None for any."""

    def read() -> Labels:
        labels = as_labels(file, image_id, class_of=class_of, void=void)
        where = f"image {image_id!r}: {file}"
        labels = replace(labels, semantic=_with_one_void(np.asarray(labels.semantic), void, where))
        if classes is not None:
            require_classes(labels.semantic, len(class_names(classes)), where, void=void)
        return labels

    return read


def _with_one_void(semantic: NDArray[np.integer], void: int, where: str) -> NDArray[np.integer]:
    """The map with `void` in place of 65535."""
    if semantic.dtype.itemsize < 2 or void == 65_535 or not (semantic == 65_535).any():
        return semantic
    if (semantic == void).any():
        raise InputError(f"{where}: holds both {void} and 65535, and one of them is void; paint void with one id.")
    return np.where(semantic == 65_535, void, semantic)


def _open_cityscapes(label_files: Sequence[Path], table: NDArray[np.uint8], name: str) -> LabelSource:
    readers: dict[str, Callable[[], Labels]] = {}
    for file in label_files:
        image_id = file_id(file.name, ENDINGS)
        _add(readers, image_id, _cityscapes_reader(file, table, image_id))
    return LabelSource(readers, name)


def _cityscapes_reader(file: Path, table: NDArray[np.uint8], image_id: str) -> Callable[[], Labels]:
    """Reader of ``X_labelIds.png`` and ``X_instanceIds.png``, which is needed where a thing is."""
    instance_file = file.with_name(file.name[: -len(_LABEL_IDS)] + "_instanceIds" + file.suffix)

    def read() -> Labels:
        label_ids = read_map(file, image_id)
        if instance_file.is_file():
            return cityscapes_labels(label_ids, read_map(instance_file, image_id), table, image_id, str(file))
        labels = cityscapes_labels(label_ids, None, table, image_id, str(file))
        if np.isin(label_ids, [c.label_id for c in taxonomy.CITYSCAPES if c.is_thing]).any():
            raise InputError(f"image {image_id!r}: {instance_file} does not exist, so its things cannot be told apart; "
                             "copy it, or score classes alone as a folder of maps of class ids.")  # fmt: skip
        return labels

    return read


def _reader(value: Any, image_id: str, class_of: Mapping[int, int] | None, void: int) -> Callable[[], Labels]:
    return lambda: as_labels(value, image_id, class_of=class_of, void=void)


def _id_of(item: Any, number: int) -> str:
    return Path(item).stem if isinstance(item, (str, Path)) else str(number)


def _add(readers: dict[str, Callable[[], Labels]], image_id: str, reader: Callable[[], Labels]) -> None:
    if image_id in readers:
        raise InputError(f"image {image_id!r} occurs twice; every image may count once.")
    readers[image_id] = reader
