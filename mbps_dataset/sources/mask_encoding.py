"""COCO's two ways to write a mask: run lengths (plain or compressed) and polygons.

Both are column-major: pixel (x, y) is number x · H + y. Decoding is exact, bit by bit what pycocotools gives; it is short
enough that a compiled dependency is not worth its wheels:

* plain counts are alternating run lengths, background first; compressed counts are the same in 5-bit groups of ASCII,
  from the third on as the difference to the count before last (COCO's own format);
* a polygon's corners are set on a grid five times as fine; where an edge crosses the middle of a pixel column, inside and
  outside change places. The crossing is computed, not drawn, so a corner far outside costs nothing.

Files come from anywhere, so what is taken is bounded by the image (ours): no more runs than twice its pixels, outlines
that cross its columns at most a quarter as often as it has pixels (and 10,000 times), and finite corners that COCO's
tools could hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mbps_dataset.errors import InputError
from mbps_dataset.reading.names import shown


_ENLARGED = 5
_FARTHEST = 2.0**31 / _ENLARGED - 1  # pixels; beyond, the integers of COCO's own tools overflow
_LONGEST_NUMBER = 12  # characters of a compressed count: 60 bits
_FEW_PARTS = 8  # up to as many polygons may by chance be as many, and as long, as a tiny image has rows
_BLOCK = 1 << 20  # crossings computed at once


def decode_segmentation(segmentation: Any, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Mask [H, W] of a COCO `segmentation`: {"size", "counts"} or a list of polygons [x0, y0, x1, y1, …].

    Raises `InputError` if it is neither (a mask as rows of zeros and ones is none), is damaged, is out of all proportion
    to the image, or its size is not `shape` (H, W).
    """
    return _of_runs(_runs(segmentation, shape), shape)


def segmentation_pixels(segmentation: Any, shape: tuple[int, int]) -> NDArray[np.int64]:
    """Flat indices y · W + x of the mask that `decode_segmentation` gives, ascending; small masks of large images cost little.

    Raises `InputError` as `decode_segmentation` does.
    """
    lengths = _runs(segmentation, shape)
    inside = lengths[1::2]
    if inside.sum() > shape[0] * shape[1] // 16:
        return np.flatnonzero(_of_runs(lengths, shape))
    begins = np.cumsum(lengths)[: 2 * len(inside)][0::2]
    pixels = np.repeat(begins - np.cumsum(inside) + inside, inside) + np.arange(inside.sum())
    column, row = np.divmod(pixels, shape[0])
    return np.sort(row * shape[1] + column)


def _runs(segmentation: Any, shape: tuple[int, int]) -> NDArray[np.integer]:
    """Alternating run lengths in COCO's order, background first, that fill the image. Raises `InputError`."""
    if isinstance(segmentation, dict) and {"size", "counts"} <= segmentation.keys():
        size = _size(segmentation["size"])
        if size != tuple(shape):
            raise InputError(f"the mask is {size[0]} x {size[1]} (H x W), but the image is {shape[0]} x {shape[1]}")
        return _checked_counts(segmentation["counts"], shape)
    if isinstance(segmentation, (list, tuple)):
        return _runs_of_polygons([_corners(part) for part in _polygons(segmentation, shape)], shape)
    raise InputError("the segmentation is neither run lengths (`size` and `counts`) nor a list of polygons")


def _size(size: Any) -> tuple[int, int]:
    if not isinstance(size, (list, tuple)) or len(size) != 2 or any(type(side) is not int for side in size):
        raise InputError(f"`size` is {shown(size)}, but must be [height, width] in whole pixels")
    return size[0], size[1]


def decode_run_lengths(counts: str | bytes | Sequence[int], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Mask [H, W] from COCO run lengths, compressed or plain.

    Raises `InputError` if they are no whole numbers from 0, are damaged, or do not fill H · W pixels.
    """
    return _of_runs(_checked_counts(counts, shape), shape)


def _checked_counts(counts: Any, shape: tuple[int, int]) -> NDArray[np.integer]:
    pixels = shape[0] * shape[1]
    lengths: NDArray[np.integer]
    if isinstance(counts, (str, bytes)):
        lengths = _decompress(counts, pixels)
    elif isinstance(counts, (list, tuple)):
        _require_few_runs(len(counts), pixels)
        lengths = _whole_numbers(counts)
    else:
        raise InputError(f"`counts` is {shown(counts)}, but must be text or a list of whole numbers")
    if (lengths < 0).any() or (lengths > pixels).any() or lengths.sum() != pixels:
        total = sum(lengths.tolist())  # in Python, where nothing overflows
        raise InputError(f"the run lengths do not fill a {shape[0]} x {shape[1]} mask (sum {total})")
    return lengths


def _whole_numbers(counts: Sequence[Any]) -> NDArray[np.integer]:
    try:
        lengths = np.asarray(counts if len(counts) else [0])
    except ValueError:  # lists of unequal length inside
        lengths = np.zeros((0, 0))
    if lengths.ndim != 1 or lengths.dtype.kind not in "iu":
        wrong = next((each for each in counts if type(each) is not int), counts)
        raise InputError(f"`counts` holds {shown(wrong)}, but must be a list of whole numbers")
    return lengths


def _require_few_runs(count: int, pixels: int) -> None:
    if count > 2 * (pixels + 1):
        raise InputError(f"`counts` holds {count:,} runs, but the image has {pixels:,} pixels")


def _of_runs(lengths: NDArray[np.integer], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Mask [H, W] of alternating runs, background first, that fill it."""
    return np.repeat(np.arange(len(lengths)) % 2 == 1, lengths).reshape(shape[1], shape[0]).T


def _decompress(text: str | bytes, pixels: int) -> NDArray[np.int64]:
    """Counts from COCO's text: little-endian groups of 5 bits, bit 5 = more follows, bit 4 of the last = negative."""
    if isinstance(text, str):
        text = text.encode("utf-8", "surrogatepass")
    if len(text) > _LONGEST_NUMBER * 2 * (pixels + 1):
        raise InputError(f"`counts` holds {len(text):,} characters, but the image has {pixels:,} pixels")
    groups = np.frombuffer(text, dtype=np.uint8) - np.uint8(48)  # what is below wraps around and is above 63
    outside = np.flatnonzero(groups > 63)
    if len(outside):
        raise InputError(f"the compressed run lengths hold the character {chr(text[outside[0]])!r}")
    last = np.flatnonzero(groups & 32 == 0)
    if len(groups) and (not len(last) or last[-1] != len(groups) - 1):
        raise InputError("the compressed run lengths end in the middle of a number")
    _require_few_runs(len(last), pixels)
    first = np.concatenate([[0], last[:-1] + 1])[: len(last)]
    longest = int((last - first).max(initial=0)) + 1
    if longest > _LONGEST_NUMBER:
        raise InputError(f"the compressed run lengths hold a number of {longest:,} characters")
    digit = np.arange(len(groups)) - np.repeat(first, last - first + 1)
    values = np.zeros(0, np.int64)
    if len(last):
        values = np.add.reduceat((groups & 31).astype(np.int64) << (5 * digit), first)
    values -= np.where(groups[last] & 16, np.int64(1) << (5 * (last - first + 1)), 0)
    if (np.abs(values) > pixels).any():
        raise InputError(f"the compressed run lengths hold {int(np.abs(values).max())}, but there are {pixels} pixels")
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values


def _polygons(parts: Sequence[Any], shape: tuple[int, int]) -> Sequence[Sequence[float]]:
    """`parts` if they can be polygons. Raises `InputError`, also for a mask written as its rows."""
    for part in parts:
        if not isinstance(part, (list, tuple)) or not set(map(type, part)) <= {int, float, bool}:
            raise InputError("the segmentation is neither run lengths (`size` and `counts`) nor a list of polygons")
    if _is_rows_of_a_mask(parts, shape):
        raise InputError(
            f"the segmentation is a mask as {len(parts)} rows of {len(parts[0])} numbers and no list of polygons; "
            "write it as run lengths (pycocotools.mask.encode), or the masks of an image as .npz"
        )
    return parts


def _is_rows_of_a_mask(parts: Sequence[Sequence[float]], shape: tuple[int, int]) -> bool:
    """Whether these are rows of pixels: as many as the image has, or with one value beside zero (or truth values)."""
    lengths = {len(part) for part in parts}
    if len(lengths) != 1 or (len(parts) == 1 and len(parts[0]) <= 10):  # one square, perhaps closed
        return False
    if len(parts) > _FEW_PARTS and (len(parts), *lengths) in (shape, shape[::-1]):
        return True
    values: set[float] = set()
    for part in parts:
        values.update(part)
        if len(values - {0}) > 1:
            return False
    return True


def _corners(part: Sequence[float]) -> NDArray[np.float64]:
    """Corners [N, 2] (x, y) of a polygon x0, y0, x1, y1, …, N ≥ 3. Raises `InputError`."""
    if len(part) < 6 or len(part) % 2 or bool in set(map(type, part)):
        raise InputError(
            f"a polygon is {shown(part)}, but must be an even number of coordinates x0, y0, x1, y1, …, at least six"
        )
    try:
        corners = np.asarray(part, dtype=np.float64).reshape(-1, 2)
    except OverflowError:  # a whole number of hundreds of digits
        corners = np.full((1, 2), np.inf)
    beyond = corners[~(np.abs(corners) <= _FARTHEST)]
    if beyond.size:
        raise InputError(f"a polygon has the coordinate {beyond[0]:g}, which is no place in pixels")
    return corners


def fill_polygons(polygons: Sequence[NDArray[np.float64]], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Mask [H, W] of all pixels inside at least one polygon (corners [N, 2] as x, y in pixels), as COCO's tools fill it.

    Raises `InputError` if the outlines cross the pixel columns out of all proportion to the image.
    """
    return _of_runs(_runs_of_polygons(polygons, shape), shape)


def _runs_of_polygons(polygons: Sequence[NDArray[np.float64]], shape: tuple[int, int]) -> NDArray[np.int64]:
    pixels = shape[0] * shape[1]
    if not polygons:
        return np.array([pixels])
    # Truncation, not rounding down: that is what the original's integer conversion does.
    grid = [np.trunc(corners * _ENLARGED + 0.5).astype(np.int64) for corners in polygons]
    starts, ends = np.concatenate(grid), np.concatenate([np.roll(corners, -1, axis=0) for corners in grid])
    polygon = np.repeat(np.arange(len(grid)), [len(corners) for corners in grid])
    edge, toggled = _crossings(starts, ends, shape)
    # An outline is closed, so it crosses each column an even number of times, and pairs stay within a polygon.
    toggled = np.sort(polygon[edge] * (pixels + 1) + toggled) % (pixels + 1)
    return _union(toggled[0::2], toggled[1::2], pixels)


def encode_segmentation(pixels: NDArray[np.integer], shape: tuple[int, int]) -> dict[str, Any]:
    """COCO's compressed `segmentation` of a mask of `shape` (H, W), from its flat indices y · W + x, ascending.

    Character by character what pycocotools writes; `segmentation_pixels` gives the indices back.
    """
    height, width = shape
    row, column = np.divmod(pixels, width)
    ordered = np.sort(column * height + row)
    breaks = np.flatnonzero(np.diff(ordered) != 1) + 1
    bounds = np.zeros(2 * (len(breaks) + 1 if len(ordered) else 0), np.int64)
    if len(ordered):
        bounds[0::2] = ordered[np.append(0, breaks)]
        bounds[1::2] = ordered[np.append(breaks - 1, -1)] + 1
    counts = np.diff(bounds, prepend=0, append=height * width)
    if len(counts) > 1 and counts[-1] == 0:  # no background behind the last pixel
        counts = counts[:-1]
    return {"size": [height, width], "counts": _compress(counts)}


def _compress(counts: NDArray[np.int64]) -> str:
    """The inverse of `_decompress`."""
    left = counts.copy()
    left[3:] -= counts[1:-2]
    groups, unfinished = [], np.ones(len(counts), bool)
    while unfinished.any():
        digit = left & 31
        left >>= 5
        more = np.where(digit & 16, left != -1, left != 0)
        groups.append(np.where(unfinished, digit + 32 * more + 48, 0))
        unfinished &= more
    characters = np.stack(groups, axis=1).ravel()
    return characters[characters > 0].astype(np.uint8).tobytes().decode("ascii")


def _union(begins: NDArray[np.int64], ends: NDArray[np.int64], pixels: int) -> NDArray[np.int64]:
    """Alternating run lengths, background first, of pixels in at least one interval [begin, end)."""
    order = np.argsort(begins, kind="stable")
    begins, reached = begins[order], np.maximum.accumulate(ends[order])
    is_new = np.ones(len(begins), dtype=bool)
    is_new[1:] = begins[1:] > reached[:-1]
    firsts = np.flatnonzero(is_new)
    bounds = np.empty(2 * len(firsts), np.int64)
    bounds[0::2], bounds[1::2] = begins[firsts], reached[np.append(firsts, len(begins))[1:] - 1]
    return np.diff(bounds, prepend=0, append=pixels)


def _crossings(
    starts: NDArray[np.int64], ends: NDArray[np.int64], shape: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where edges cross the middle of a pixel column: the number of the edge, and the first pixel x · H + y below it.

    `starts` and `ends` are [E, 2] on the enlarged grid, where column c lies between 5 c + 2 and 5 c + 3.
    """
    height, width = shape
    left, right = np.minimum(starts[:, 0], ends[:, 0]), np.maximum(starts[:, 0], ends[:, 0])
    first = np.clip(-((2 - left) // _ENLARGED), 0, width)
    after = np.clip((right - 3) // _ENLARGED + 1, 0, width)
    upto = np.cumsum(np.maximum(after - first, 0))
    total = int(upto[-1])
    if total > height * width // 4 + 10_000:
        raise InputError(
            f"the polygons cross pixel columns {total:,} times, far too often for an image of {height} x {width}"
        )
    edges, toggled = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for begin in range(0, total, _BLOCK):
        number = np.arange(begin, min(begin + _BLOCK, total))
        edge = np.searchsorted(upto, number, side="right")
        column = after[edge] - (upto[edge] - number)
        row = (_rows(starts[edge], ends[edge], column * _ENLARGED + 2) + 0.5) / _ENLARGED - 0.5
        edges.append(edge)
        toggled.append(column * height + np.ceil(np.clip(row, 0, height)).astype(np.int64))
    return np.concatenate(edges), np.concatenate(toggled)


def _rows(starts: NDArray[np.int64], ends: NDArray[np.int64], left: NDArray[np.int64]) -> NDArray[np.int64]:
    """Row of the upper of the two points at which each edge steps between `left` and `left` + 1, as COCO draws it.

    An edge is drawn with one point per step of its longer side, from its lower coordinate up; the other is truncated.
    """
    wide, tall = np.abs(ends - starts).T
    is_flat = wide >= tall
    swapped = np.where(is_flat, starts[:, 0] > ends[:, 0], starts[:, 1] > ends[:, 1])[:, None]
    (x0, y0), (x1, y1) = np.where(swapped, ends, starts).T, np.where(swapped, starts, ends).T
    slope = np.where(is_flat, y1 - y0, x1 - x0) / np.maximum(np.maximum(wide, tall), 1)
    step = left - x0
    upper = np.minimum(_drawn(y0, slope, step), _drawn(y0, slope, step + 1))
    # A steep edge reaches the column at the first step whose point is beyond it: estimated, then counted up to.
    slant = np.where(slope == 0, 1.0, slope)
    steps = np.maximum(np.ceil((left + 0.5 - x0) / slant) - 2, 0).astype(np.int64)
    for _ in range(4):
        x = _drawn(x0, slope, steps)
        steps += np.where(slope > 0, x <= left, x > left)
    return np.where(is_flat, upper, y0 + steps - 1)


def _drawn(start: NDArray[np.int64], slope: NDArray[np.float64], step: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.trunc(start + slope * step + 0.5).astype(np.int64)
