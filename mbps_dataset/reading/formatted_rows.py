"""Rows in the forms that `datasets` gives them: plain, torch, numpy, pandas or arrow, whole or some columns.

What differs, as measured on datasets 5.2: a torch row has maps [1, H, W] and pictures [3, H, W], a numpy row [H, W] and
[H, W, 3], and both have lost whether one channel was grey or an index into a palette; segments come as a list or an array
of dicts whose values are numbers, arrays or tensors of no dimension, and as a dict of lists where the column is a `Sequence`
feature; pandas and arrow give a table of one row.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mbps_dataset.arrays import RGBImage
from mbps_dataset.errors import InputError
from mbps_dataset.reading.image_files import MAX_FILE_BYTES, decode_map, to_rgb
from mbps_dataset.reading.json_documents import read_regular
from mbps_dataset.reading.names import shown


_WHOLE: dict[str, type[int]] = {"id": int, "category_id": int, "area": int, "isthing": bool, "iscrowd": int}
"""Of the values of a segment those that are whole numbers, also where a format made floats of everything."""


def is_table(value: Any) -> bool:
    """Whether this is a table of pyarrow or pandas, or a row of one."""
    return hasattr(value, "to_pylist") or hasattr(value, "iterrows") or hasattr(value, "to_frame")


def as_row(row: Any) -> Mapping[str, Any]:
    """One row as a mapping from columns to values, from a mapping, a pandas series, or a table of one row.

    Raises `InputError` for anything else, and for several rows at once.
    """
    if hasattr(row, "to_pylist"):  # a table of pyarrow
        row = _only(row.to_pylist())
    elif hasattr(row, "iterrows"):  # of pandas
        row = _only(row.to_dict("records"))
    elif hasattr(row, "to_frame"):  # a row of it
        row = row.to_dict()
    if not isinstance(row, Mapping):
        raise InputError(
            f"expected a row of a data set, but got {type(row).__name__}; give one row, such as dataset[0]."
        )
    image_id: Any = row.get("image_id")
    if isinstance(image_id, (list, tuple)) or (isinstance(image_id, np.ndarray) and image_id.ndim):
        raise InputError(f"expected one row, but got a batch of {len(image_id)}; give one row, such as dataset[0].")
    return row


def _only(rows: list[Any]) -> Any:
    if len(rows) != 1:
        raise InputError(f"expected one row, but got a table of {len(rows)}; give one row, such as dataset[0].")
    return rows[0]


def id_map(column: Any, name: str) -> NDArray[np.integer]:
    """A map [H, W] of whole numbers: a Pillow image, ``{"bytes", "path"}``, or an array or tensor [H, W] or [1, H, W].

    Raises `InputError`, which begins with `name`, for anything else.
    """
    if isinstance(column, Mapping):
        return decode_map(column.get("bytes") or _read(column.get("path"), name), name)
    array = _as_array(column)
    if array.ndim == 3 and 1 in (array.shape[0], array.shape[2]):
        array = array[0] if array.shape[0] == 1 else array[..., 0]
    if array.ndim != 2:
        raise InputError(f"{name}: expected a map [H, W] or [1, H, W], but got shape {array.shape}.")
    if array.dtype.kind == "f" and (np.isfinite(array) & (array == np.trunc(array))).all():
        array = array.astype(np.int64)
    if array.dtype.kind not in "biu" or (array.dtype.kind == "i" and array.min(initial=0) < 0):
        raise InputError(
            f"{name}: expected a map of whole numbers from 0, but got {array.dtype}; take the row as it is."
        )
    return array


def picture(column: Any, name: str) -> RGBImage:
    """The picture of a row as uint8 [H, W, 3]: what `to_rgb` takes, or an array or tensor in either order of axes.

    Raises `InputError`, which begins with `name`, for an array of one 8-bit channel, which may be grey or a palette.
    """
    if isinstance(column, (Image.Image, Mapping)):
        return to_rgb(column, name)
    array = _as_array(column)
    if array.ndim == 3 and array.shape[0] <= 4 < array.shape[2]:
        array = array.transpose(1, 2, 0)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.dtype == np.uint16 and array.ndim == 2:
        return to_rgb(Image.fromarray(array), name)
    if array.dtype == np.uint8 and array.ndim == 3 and array.shape[2] in (2, 3, 4):
        return to_rgb(Image.fromarray(np.ascontiguousarray(array)), name)
    raise InputError(
        f"{name}: the picture is {array.dtype} {array.shape}, from which its colours cannot be told; take the row without "
        "`with_format`, or without the column `image`."
    )


def segment_entries(segments: Any, name: str) -> list[dict[str, Any]]:
    """``segments_info`` as a list of dicts of plain numbers, from any list or array of dicts, or a dict of lists.

    Raises `InputError`, which begins with `name`, for anything else.
    """
    if isinstance(segments, Mapping):
        lists = {key: list(values) for key, values in segments.items() if _is_listing(values)}
        lengths = {len(values) for values in lists.values()}
        if len(lists) < len(segments) or len(lengths) > 1:
            raise InputError(
                f"{name}: `segments_info` is a dict whose values are no lists of one length; give a list."
            )
        segments = [dict(zip(lists, values)) for values in zip(*lists.values())]
    if not _is_listing(segments):
        raise InputError(f"{name}: `segments_info` must be a list of segments, but is {shown(segments, 40)}.")
    for segment in segments:
        if not isinstance(segment, Mapping):
            raise InputError(f"{name}: `segments_info` must hold dicts, but holds {shown(segment, 40)}.")
    return [{key: _plain(key, value) for key, value in segment.items()} for segment in segments]


def _is_listing(value: Any) -> bool:
    """Whether this is a list, tuple, array or tensor of values; those without a dimension hold one value only."""
    return isinstance(value, (list, tuple)) or (hasattr(value, "tolist") and getattr(value, "ndim", 0) > 0)


def _plain(key: str, value: Any) -> Any:
    value = value.tolist() if hasattr(value, "tolist") else value
    is_whole = isinstance(value, float) and value.is_integer()
    return _WHOLE[key](value) if is_whole and key in _WHOLE else value  # ``with_format("torch", dtype=torch.float32)``


def _as_array(value: Any) -> NDArray[Any]:
    return np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)


def _read(path: Any, name: str) -> bytes:
    try:
        return read_regular(str(path), MAX_FILE_BYTES)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        where = shown(str(path), 200)[1:-1]
        raise InputError(f"{name}: {where} cannot be read ({reason}); load the data set again.") from error
