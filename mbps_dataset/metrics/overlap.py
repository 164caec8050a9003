"""The overlap table: how many pixels each true segment shares with each predicted segment.

Every number of this package comes from this table, so an image is read once and then forgotten. Decisions (ours):

* a true segment is (class, instance, crowd), a predicted one (class or pseudo-class, instance), and **nothing is decided
  while counting**: void, merging of stuff, matching, groups and crowds are operations on the finished table;
* pixels are read as runs: where no map changes along a row there is nothing new to count, so 2 097 152 pixels become
  some 40 000 runs, and runs are summed by look-up tables instead of by sorting;
* counts are int64 and areas always come from pixels. A COCO file whose ``area`` disagrees with its PNG has produced
  published values above 100 %.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mbps_dataset.errors import InputError


Int = NDArray[np.int64]

_ARRAYS = ("true_segments", "pred_segments", "pairs")
_BLOCK_PX = 1 << 17  # pixels compared at once: the intermediate masks stay in the processor's cache
_DENSE_LIMIT = 1 << 20  # value range up to which a look-up table is cheaper than sorting; more with many values
_LARGEST_KEY = np.iinfo(np.int64).max  # distinct rows are numbered in one int64 where that is possible


@dataclass(frozen=True)
class OverlapTable:
    """Segments of one or many images and their common pixels.

    `true_segments` int64 [T, 4]: image, class, instance, crowd (0 = not a crowd, n = n-th crowd region).
    `pred_segments` int64 [P, 3]: image, class (or pseudo-class), instance.
    `pairs` int64 [N, 3]: row in `true_segments`, row in `pred_segments`, common pixels (> 0).
    `images` is the number of images; each pixel of each image is counted in exactly one pair.
    """

    true_segments: Int
    pred_segments: Int
    pairs: Int
    images: int = 1

    def to_bytes(self) -> bytes:
        """The table as the bytes of a small ``.npz``, for a cache or another process; see `from_bytes`."""
        buffer = io.BytesIO()
        arrays = self.to_arrays()
        np.savez(
            buffer,
            images=self.images,
            true_segments=arrays["true_segments"],
            pred_segments=arrays["pred_segments"],
            pairs=arrays["pairs"],
        )
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> OverlapTable:
        """A table from the bytes of `to_bytes`."""
        with np.load(io.BytesIO(data)) as arrays:
            return cls.from_arrays(arrays, int(arrays["images"]))

    def to_arrays(self) -> dict[str, NDArray[np.unsignedinteger]]:
        """The three arrays by name, in the smallest types that hold them."""
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        return {name: array.astype(np.min_scalar_type(array.max(initial=0))) for name, array in arrays.items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.integer]], images: int) -> OverlapTable:
        """A table from the arrays of `to_arrays`."""
        return cls(**{name: np.asarray(arrays[name]).astype(np.int64) for name in _ARRAYS}, images=images)


def as_label_map(labels: Any, name: str, image: str) -> NDArray[np.integer]:
    """`labels` (numpy, torch, PIL, nested lists) as a contiguous integer array [H, W]; `InputError` if it is not one."""
    if hasattr(labels, "detach"):
        labels = labels.detach().cpu().numpy()
    array = np.ascontiguousarray(labels)
    if array.ndim != 2:
        raise InputError(f"{image}: expected `{name}` to be a map [H, W], but got shape {array.shape}.")
    if array.dtype == bool:
        array = array.view(np.uint8)
    if array.dtype.kind not in "iu":
        raise InputError(
            f"{image}: expected `{name}` to hold integers, but got {array.dtype}; "
            "round or take the argmax first, ids must be exact."
        )
    return array


def overlap_table(
    pred_semantic: Any, pred_instance: Any | None, true_semantic: Any, true_instance: Any | None, *,
    true_crowd: Any | None = None, image: str = "image",
) -> OverlapTable:  # fmt: skip
    """Count common pixels of all segments of one image.

    All maps are [H, W] of any integer type, values >= 0; an instance map that is None counts as all zero. `image` names
    the picture in errors. Raises `InputError` for different sizes, floats and negative ids.
    """
    maps = {
        "true_semantic": true_semantic,
        "true_instance": true_instance,
        "true_crowd": true_crowd,
        "pred_semantic": pred_semantic,
        "pred_instance": pred_instance,
    }
    arrays = {name: as_label_map(labels, name, image) for name, labels in maps.items() if labels is not None}
    _require_same_size(arrays, image)
    starts = run_starts([array.ravel() for array in arrays.values()])
    lengths = np.diff(starts, append=next(iter(arrays.values())).size)
    runs = {name: array.ravel()[starts] for name, array in arrays.items()}
    _require_not_negative(runs, image)

    true_names, pred_names = ("true_semantic", "true_instance", "true_crowd"), ("pred_semantic", "pred_instance")
    true_segments, true_of_run = _unique_rows([runs.get(name) for name in true_names], len(starts))
    pred_segments, pred_of_run = _unique_rows([runs.get(name) for name in pred_names], len(starts))
    keys, pair_of_run = unique_values(true_of_run * len(pred_segments) + pred_of_run)
    pixels = np.bincount(pair_of_run, weights=lengths, minlength=len(keys)).astype(np.int64)
    pairs = np.column_stack([*np.divmod(keys, max(len(pred_segments), 1)), pixels])
    return OverlapTable(_with_image(true_segments), _with_image(pred_segments), pairs)


def concatenate(tables: Sequence[OverlapTable]) -> OverlapTable:
    """One table of all images of `tables`, numbered in order."""
    if len(tables) == 1:
        return tables[0]
    true_parts, pred_parts, pair_parts = [np.zeros((0, 4), int)], [np.zeros((0, 3), int)], [np.zeros((0, 3), int)]
    images = true_count = pred_count = 0
    for table in tables:
        true_parts.append(table.true_segments + [images, 0, 0, 0])
        pred_parts.append(table.pred_segments + [images, 0, 0])
        pair_parts.append(table.pairs + [true_count, pred_count, 0])
        images += table.images
        true_count += len(table.true_segments)
        pred_count += len(table.pred_segments)
    return OverlapTable(np.concatenate(true_parts), np.concatenate(pred_parts), np.concatenate(pair_parts), images)


def unique_rows(columns: Sequence[Int]) -> tuple[Int, Int]:
    """Distinct rows of equally long integer columns: (rows [R, columns] sorted, row number of each entry)."""
    order = np.lexsort(tuple(columns)[::-1])
    rows = np.column_stack(columns)[order]
    is_new = np.ones(len(rows), bool)
    is_new[1:] = (rows[1:] != rows[:-1]).any(axis=1)
    inverse = np.empty(len(rows), np.int64)
    inverse[order] = np.cumsum(is_new) - 1
    return rows[is_new], inverse


def _require_same_size(arrays: dict[str, NDArray[np.integer]], image: str) -> None:
    first, expected = next(iter(arrays.items()))
    for name, array in arrays.items():
        if array.shape != expected.shape:
            raise InputError(
                f"{image}: expected `{name}` and `{first}` to share (H, W), but got {array.shape} and "
                f"{expected.shape}; resize one of them with nearest neighbour."
            )


def _require_not_negative(runs: dict[str, NDArray[np.integer]], image: str) -> None:
    for name, values in runs.items():
        if values.dtype.kind == "i" and values.size and values.min() < 0:
            raise InputError(
                f"{image}: `{name}` holds the negative id {values.min()}; ids start at 0, mark void pixels with the "
                "void id (255 unless you chose another)."
            )


def run_starts(flat_maps: list[NDArray[np.integer]]) -> Int:
    """Flat positions at which any of the maps differs from the pixel before, and 0."""
    size = flat_maps[0].size
    changed, differs = np.empty(min(size, _BLOCK_PX), bool), np.empty(min(size, _BLOCK_PX), bool)
    parts = [np.zeros(min(size, 1), np.int64)]
    for begin in range(1, size, _BLOCK_PX):
        end = min(size, begin + _BLOCK_PX)
        block, other = changed[: end - begin], differs[: end - begin]
        np.not_equal(flat_maps[0][begin:end], flat_maps[0][begin - 1 : end - 1], out=block)
        for labels in flat_maps[1:]:
            np.not_equal(labels[begin:end], labels[begin - 1 : end - 1], out=other)
            np.logical_or(block, other, out=block)
        parts.append(np.flatnonzero(block) + begin)
    return np.concatenate(parts)


def unique_values(values: NDArray[np.integer]) -> tuple[Int, Int]:
    """`numpy.unique(values, return_inverse=True)` for values >= 0, without sorting where the range is small."""
    if not values.size or int(values.max()) >= max(_DENSE_LIMIT, 4 * values.size):
        distinct, inverse = np.unique(values, return_inverse=True)
        return distinct.astype(np.int64), inverse.astype(np.int64)
    present = np.zeros(int(values.max()) + 1, bool)
    present[values] = True
    distinct = np.flatnonzero(present)
    rank = np.zeros(len(present), np.int64)
    rank[distinct] = np.arange(len(distinct))
    return distinct, rank[values]


def _unique_rows(columns: list[NDArray[np.integer] | None], size: int) -> tuple[Int, Int]:
    """Like `unique_rows` for many entries with few distinct values; a column that is None is all zero."""
    ranked = [(np.zeros(1, np.int64), np.zeros(1, np.int64)) if c is None else unique_values(c) for c in columns]
    if math.prod(len(distinct) for distinct, _ in ranked) > _LARGEST_KEY:
        return unique_rows([np.broadcast_to(distinct[inverse], size) for distinct, inverse in ranked])
    key = np.zeros(size, np.int64)
    for distinct, inverse in ranked:
        key *= len(distinct)
        key += inverse
    keys, row_of_entry = unique_values(key)
    rows = np.empty((len(keys), len(columns)), np.int64)
    for column, (distinct, _) in reversed(list(enumerate(ranked))):
        keys, digit = np.divmod(keys, max(len(distinct), 1))
        rows[:, column] = distinct[digit]
    return rows, row_of_entry


def _with_image(segments: Int) -> Int:
    return np.column_stack([np.zeros(len(segments), np.int64), segments])
