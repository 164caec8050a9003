"""Detections as a folder: one file for each image, or one folder of masks for each image.

* ``ID.npz`` with ``masks`` [M, H, W] or [M, H · W] and perhaps ``scores``, ``class_ids`` and ``num_valid``;
* ``ID.png`` or ``ID_instance.png``, 16 bits, 0 = none and k = the k-th instance;
* ``ID.json`` as SAM's ``amg.py --convert-to-rle`` or SA-1B has it; beside any of the others, JSON is left alone;
* ``ID/0.png``, ``1.png``, … and ``ID/metadata.csv``, as ``amg.py`` writes them: one mask a picture, 0 = outside.

Which files belong to the folder is the rule of `mbps_dataset.sources.membership`. Decisions (ours): a picture the table
does not list, and one it lists that is not there, are errors, since a folder that was copied in part would pass for whole;
masks that hold more than inside and outside are errors too, since everything above zero would become the mask.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mbps_dataset.errors import InputError
from mbps_dataset.reading.image_files import decode_map
from mbps_dataset.reading.json_documents import read_regular
from mbps_dataset.reading.names import shown
from mbps_dataset.reading.numpy_files import read_npz
from mbps_dataset.sources.detection_records import Reader, Shape, finite_score, reader_of_one_image
from mbps_dataset.sources.images import read_bytes
from mbps_dataset.sources.membership import find_files
from mbps_dataset.stages.instances import Instances


TABLE = "metadata.csv"
SUFFIXES = (".npz", ".png", ".json", TABLE)
"""Endings of the files that count; everything else in the folder is left alone."""

_ARRAYS = ("masks", "scores", "class_ids", "num_valid")
_MOST_TABLE_BYTES = 50_000_000


def readers_of_folder(folder: Path) -> dict[str, Reader]:
    """Readers by name (path below `folder`) of every file, and every folder of masks, of detections.

    Raises `InputError` if there is none.
    """
    found = find_files(folder, SUFFIXES).named()
    if not found:
        raise InputError(f"{folder}: no .npz, .png or .json file of detections in this folder.")
    of_masks = {path.parent for path in found if path.name == TABLE}
    readers = {_name(one, folder): _masks_reader(one) for one in of_masks}
    loose = [path for path in found if path.parent not in of_masks and path.name != TABLE]
    for ending, reader in ((".npz", _npz_reader), (".png", _png_reader), (".json", reader_of_one_image)):
        if ending == ".json" and readers:
            break
        of_kind = [path for path in loose if path.suffix.lower() == ending]
        readers |= {path.relative_to(folder).as_posix(): reader(path) for path in of_kind}
    return readers


def _name(of_masks: Path, folder: Path) -> str:
    """A folder's path below the root; the root, given by itself, is named after its image too."""
    return of_masks.resolve().name if of_masks == folder else of_masks.relative_to(folder).as_posix()


def _npz_reader(path: Path) -> Reader:
    def read(shape: Shape, min_score: float) -> Instances:
        try:
            arrays = read_npz(path, *_ARRAYS)
        except KeyError:
            arrays = {}
        except (OSError, ValueError) as error:
            raise InputError(f"{path.name} cannot be read ({error})") from error
        if "masks" not in arrays:
            raise InputError(f"{path.name} has no array `masks`")
        valid = slice(_valid_count(arrays.pop("num_valid", None), arrays["masks"], path.name))
        arrays = {name: values[valid] if values.ndim else values for name, values in arrays.items()}
        masks = _masks_of_size(arrays.pop("masks"), shape, path.name)
        instances = Instances(masks, **_checked(arrays, path.name))
        return instances.select(instances.scores >= min_score)

    return read


def _valid_count(number: NDArray[Any] | None, masks: NDArray[Any], name: str) -> int:
    if masks.ndim < 2:
        raise InputError(f"{name}: the masks are {masks.shape}, but must be [M, H, W] or [M, H · W]")
    if number is None:
        return len(masks)
    if number.size != 1 or number.dtype.kind not in "iu" or not 0 <= number.item() <= len(masks):
        raise InputError(f"{name}: `num_valid` is {shown(number.tolist())}, but must be one of 0 to {len(masks)}")
    return int(number.item())


def _masks_of_size(masks: NDArray[Any], shape: Shape, name: str) -> NDArray[Any]:
    """`masks` as [M, H, W]. Raises `InputError` if they have another size, or more than inside and outside."""
    is_flat = masks.ndim == 2 and masks.shape[1] == shape[0] * shape[1]
    if not is_flat and masks.shape[1:] != tuple(shape) and masks.size:
        raise InputError(f"{name}: the masks are {masks.shape}, but the image is {shape[0]} x {shape[1]}")
    if masks.dtype.kind not in "biuf" or (masks.dtype.kind == "f" and not np.isin(masks, (0, 1)).all()):
        raise InputError(f"{name}: the masks are {masks.dtype} and not only 0 and 1; save `masks > threshold`")
    return masks.reshape(-1, *shape)


def _checked(arrays: dict[str, NDArray[Any]], name: str) -> dict[str, NDArray[Any]]:
    """`scores` and `class_ids` that are numbers. Raises `InputError`."""
    scores, classes = arrays.get("scores"), arrays.get("class_ids")
    if scores is not None and (scores.dtype.kind not in "fiu" or not np.isfinite(scores).all()):
        raise InputError(f"{name}: `scores` hold {_odd(scores)}, but must be finite numbers")
    if classes is not None and (classes.dtype.kind not in "fiu" or not np.array_equal(classes, np.trunc(classes))):
        raise InputError(f"{name}: `class_ids` hold {_odd(classes)}, but must be whole numbers")
    return arrays


def _odd(values: NDArray[Any]) -> str:
    if values.dtype.kind != "f":
        return f"{values.dtype}"
    odd = values[(values != np.trunc(values)) | ~np.isfinite(values)]
    return f"{odd[~np.isfinite(odd)][0] if not np.isfinite(odd).all() else odd[0]}"


def _png_reader(path: Path) -> Reader:
    def read(shape: Shape, min_score: float) -> Instances:
        ids = _map_of_size(path, shape)
        numbers = np.unique(ids)
        pixels = [np.flatnonzero(ids == number) for number in numbers[numbers > 0]]
        return Instances.from_pixels(shape, pixels if min_score <= 1.0 else [])

    return read


def _map_of_size(path: Path, shape: Shape) -> NDArray[np.integer]:
    ids = decode_map(read_bytes(path, path.name), path.name)
    if ids.shape != tuple(shape) or ids.dtype.kind not in "iu":
        raise InputError(
            f"{path.name} is {ids.dtype} {ids.shape}, but a single-channel map of {shape[0]} x {shape[1]} is needed"
        )
    return ids


def _masks_reader(folder: Path) -> Reader:
    """Reader of a folder of masks and their table, which ``amg.py`` writes."""

    def read(shape: Shape, min_score: float) -> Instances:
        parts = [Instances.empty(shape)]
        for number, score in _table(folder).items():
            if score >= min_score:
                mask = _map_of_size(folder / f"{number}.png", shape)
                if mask.max(initial=0) > 0 and mask[mask > 0].min() != mask.max():
                    raise InputError(f"{folder.name}/{number}.png holds several values above 0, so it is no mask")
                parts.append(Instances.from_pixels(shape, [np.flatnonzero(mask)], scores=[score]))
        return Instances.concatenate(parts)

    return read


def _table(folder: Path) -> dict[int, float]:
    """Score by number of every mask of a folder. Raises `InputError` if table and pictures differ."""
    where = f"{folder.name}/{TABLE}"
    try:
        text = read_regular(folder / TABLE, _MOST_TABLE_BYTES).decode("utf-8-sig")
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{where} cannot be read ({error})") from error
    scores: dict[int, float] = {}
    for row in rows:
        number, written = (row.get("id") or "").strip(), (row.get("predicted_iou") or "").strip()
        if not (number.isascii() and number.isdecimal() and len(number) < 10) or int(number) in scores:
            raise InputError(f"{where}: {shown(number)} in the column `id` is no number of one mask")
        scores[int(number)] = finite_score(_number(written) if written else None)
    pictures = {path.stem for path in find_files(folder, (".png",)).named() if path.parent == folder}
    if unlike := sorted(pictures ^ {str(number) for number in scores}):
        raise InputError(f"{where} and the pictures beside it differ in {len(unlike)}, first {unlike[0]}.png")
    return scores


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
