"""COCO's two ways to write a mask: run lengths (plain or compressed) and polygons.

Both are column-major: pixel (x, y) is number x · H + y. Decoding is exact, bit by bit what pycocotools gives; it is short
enough that a compiled dependency is not worth its wheels:

* plain counts are alternating run lengths, background first; compressed counts are the same in 5-bit groups of ASCII,
  from the third on as the difference to the count before last (COCO's own format);
* a polygon's edges are drawn five times enlarged; where they cross a pixel column, inside and outside change places.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mbps_dataset.errors import InputError


_ENLARGED = 5


def decode_segmentation(segmentation: Any, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Mask [H, W] of a COCO `segmentation`: {"size", "counts"} or a list of polygons [x0, y0, x1, y1, …].

    Raises `InputError` if it is neither, is damaged, or its size is not `shape` (H, W).
    """
    if isinstance(segmentation, dict) and {"size", "counts"} <= segmentation.keys():
        size = tuple(int(side) for side in segmentation["size"])
        if size != tuple(shape):
            raise InputError(f"the mask is {size[0]} x {size[1]} (H x W), but the image is {shape[0]} x {shape[1]}")
        return decode_run_lengths(segmentation["counts"], shape)
    if isinstance(segmentation, (list, tuple)) and all(_is_polygon(part) for part in segmentation):
        mask = np.zeros(shape, dtype=bool)
        for polygon in segmentation:
            mask |= fill_polygon(polygon, shape)
        return mask
    raise InputError("the segmentation is neither run lengths (`size` and `counts`) nor a list of polygons")


def decode_run_lengths(counts: str | bytes | Sequence[int], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Mask [H, W] from COCO run lengths, compressed or plain. Raises `InputError` if they do not fill H · W pixels."""
    if isinstance(counts, (str, bytes)):
        counts = _decompress(counts.encode() if isinstance(counts, str) else counts)
    lengths = np.asarray(counts, dtype=np.int64)
    if lengths.ndim != 1 or (lengths < 0).any() or lengths.sum() != shape[0] * shape[1]:
        raise InputError(f"the run lengths do not fill a {shape[0]} x {shape[1]} mask (sum {lengths.sum()})")
    inside = np.arange(len(lengths)) % 2 == 1
    return np.repeat(inside, lengths).reshape(shape[1], shape[0]).T


def _decompress(text: bytes) -> list[int]:
    """Counts from COCO's text: little-endian groups of 5 bits, bit 5 = more follows, bit 4 of the last = negative."""
    counts: list[int] = []
    value = shift = 0
    for character in text:
        group = character - 48
        if not 0 <= group < 64:
            raise InputError(f"the compressed run lengths hold the character {chr(character)!r}")
        value |= (group & 31) << shift
        shift += 5
        if not group & 32:
            if group & 16:
                value -= 1 << shift
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value = shift = 0
    if shift:
        raise InputError("the compressed run lengths end in the middle of a number")
    return counts


def _is_polygon(part: Any) -> bool:
    return (
        isinstance(part, (list, tuple)) and len(part) >= 6 and len(part) % 2 == 0
        and all(isinstance(number, (int, float)) for number in part)
    )  # fmt: skip


def fill_polygon(polygon: Sequence[float], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Mask [H, W] of one polygon x0, y0, x1, y1, … in pixels, as COCO's own tools fill it."""
    height, width = shape
    # Truncation, not rounding down: that is what the original's integer conversion does.
    corners = np.trunc(np.asarray(polygon, dtype=np.float64).reshape(-1, 2) * _ENLARGED + 0.5).astype(np.int64)
    edges = zip(corners, np.roll(corners, -1, axis=0))
    across, down = (np.concatenate(parts) for parts in zip(*(_edge(start, end) for start, end in edges)))
    moved = np.flatnonzero(across[1:] != across[:-1])
    before, after = across[moved], across[moved + 1]
    column = (np.where(after < before, after, after - 1) + 0.5) / _ENLARGED - 0.5
    row = (np.minimum(down[moved], down[moved + 1]) + 0.5) / _ENLARGED - 0.5
    kept = (column == np.floor(column)) & (column >= 0) & (column <= width - 1)
    toggled = column[kept].astype(np.int64) * height + np.ceil(np.clip(row[kept], 0, height)).astype(np.int64)
    changes = np.bincount(toggled, minlength=height * width + 1)[: height * width]
    return (np.cumsum(changes) % 2 == 1).reshape(width, height).T


def _edge(start: NDArray[np.int64], end: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Points of a straight edge in order, one per step of its longer side."""
    (x0, y0), (x1, y1) = start.tolist(), end.tolist()
    wide, tall = abs(x1 - x0), abs(y1 - y0)
    flip = x0 > x1 if wide >= tall else y0 > y1
    if flip:
        x0, y0, x1, y1 = x1, y1, x0, y0
    steps = np.arange(max(wide, tall) + 1)
    steps = steps[::-1] if flip else steps
    if wide >= tall:
        slope = (y1 - y0) / wide if wide else 0.0
        return steps + x0, np.trunc(y0 + slope * steps + 0.5).astype(np.int64)
    return np.trunc(x0 + (x1 - x0) / tall * steps + 0.5).astype(np.int64), steps + y0
