"""What every instance method asks of its inputs, said once.

Decisions made here:

* semantic maps are [H, W] integers of any width, so that 27 classes and 300 pseudo-classes go the same way;
* void is 255 in 8-bit maps and 65535 in 16-bit maps (the stored form of the maps); wider integers have no agreed void,
  so 255 is taken only while no id is above it;
* depth must be finite: one NaN would spread over a 9 × 9 neighbourhood in the smoothing and silently switch edges off.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray


def semantic_map(semantic: ArrayLike) -> NDArray[np.integer]:
    """`semantic` as a contiguous [H, W] array of uint8, uint16, or int32 for every other integer type.

    Raises `ValueError` if it has another rank, is not integer, or holds ids outside 0 … 65535.
    """
    labels = np.asarray(semantic)
    if labels.ndim != 2:
        raise ValueError(f"Expected `semantic` to be (H, W), but got shape {labels.shape}; pass one map, not a batch.")
    if labels.dtype.kind not in "iu":
        raise ValueError(f"Expected `semantic` to hold integer class ids, but got {labels.dtype}; cast it first.")
    if labels.dtype in (np.uint8, np.uint16):
        return np.ascontiguousarray(labels)
    if labels.size and (labels.min() < 0 or labels.max() > 65535):
        raise ValueError(
            f"Expected class ids of 0 to 65535 in `semantic`, but got {labels.min()} to {labels.max()}; mark void as 255."
        )
    return np.ascontiguousarray(labels, dtype=np.int32)


def depth_map(depth: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.floating]:
    """`depth` as a [H, W] float array of the size `shape` of the semantic map.

    Raises `ValueError` if the size differs or a value is NaN or infinite.
    """
    values = np.asarray(depth)
    if values.shape != shape:
        raise ValueError(
            f"Expected `depth` and `semantic` to share (H, W), but got {values.shape} and {shape}; resize one of them."
        )
    if values.dtype.kind != "f":
        values = values.astype(np.float64)
    if not np.isfinite(values).all():
        unknown = np.count_nonzero(~np.isfinite(values))
        raise ValueError(
            f"Expected `depth` to be finite, but {unknown} of {values.size} pixels are NaN or infinite; "
            "fill unknown depth, for instance with the nearest known value."
        )
    return values


def thing_ids(things: Iterable[int]) -> NDArray[np.int64]:
    """Class ids of things: ascending, without repeats, int64 [T]."""
    ids = np.unique(np.fromiter((int(class_id) for class_id in things), dtype=np.int64))
    if ids.size and ids[0] < 0:
        raise ValueError(f"Expected class ids of at least 0 in `things`, but got {ids[0]}.")
    return ids


def void_id(semantic: NDArray[np.integer], void: int | None) -> int:
    """The id that means "no class": `void` if given, else 255 (65535 for uint16 maps).

    Raises `ValueError` for a `void` the map cannot hold, and for a wider integer map with ids above 255 and no `void`.
    """
    if void is not None:
        if not 0 <= void <= np.iinfo(semantic.dtype).max:
            raise ValueError(f"Expected `void` to be an id that fits {semantic.dtype}, but got {void}.")
        return int(void)
    if semantic.dtype == np.uint16:
        return 65535
    if semantic.dtype.itemsize > 1 and semantic.size and semantic.max() > 255:
        raise ValueError(
            f"`semantic` is {semantic.dtype} with ids up to {semantic.max()}: which id is void? "
            "Pass `void`, or store the map as uint16 with void 65535."
        )
    return 255


def check_things_exclude_void(things: NDArray[np.int64], void: int) -> None:
    """Raises `ValueError` if the void id is listed among the things."""
    if void in things:
        raise ValueError(f"`things` lists {void}, which is the void id; remove it or pass another `void`.")


def check_at_least_zero(**settings: float) -> None:
    """Raises `ValueError` naming the first setting below 0 or not a number."""
    for name, value in settings.items():
        if not value >= 0:
            raise ValueError(f"Expected `{name}` of at least 0, but got {value}.")
