"""Runs: horizontal stretches of equal value, which stand for pixels wherever counting or copying is all that is needed.

A street has some ten thousand runs and half a million pixels; histograms, areas, boxes, sorting by instance and joining
components work on the former (ours; the same idea as COCO's run-length masks, but row by row).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray


Value = TypeVar("Value", bound=np.generic)


@dataclass(frozen=True, eq=False)
class Runs:
    """The runs of one map in raster order; every row begins a new run.

    `begins` bool [H, W], true where a run begins; `starts` flat index of the first pixel and `lengths` in pixels, int64
    [R]; `values` of the map [R].
    """

    begins: NDArray[np.bool_]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    values: NDArray[np.generic]

    @classmethod
    def of(cls, labels: NDArray[np.generic]) -> Runs:
        """The runs of `labels` [H, W]."""
        begins = np.ones(labels.shape, dtype=bool)
        np.not_equal(labels[:, 1:], labels[:, :-1], out=begins[:, 1:])
        starts = np.flatnonzero(begins)
        return cls(begins, starts, np.diff(starts, append=labels.size), labels.ravel()[starts])

    def counts(self, minlength: int = 0) -> NDArray[np.int64]:
        """Pixels per value, for maps of non-negative integers; int64 [highest value + 1 or `minlength`]."""
        return np.bincount(self.values, weights=self.lengths, minlength=minlength).astype(np.int64)

    def paint(self, values: NDArray[Value]) -> NDArray[Value]:
        """A map [H, W] with `values` [R] in place of the runs' own."""
        return np.repeat(values, self.lengths).reshape(self.begins.shape)

    def window(self, chosen: NDArray[np.bool_], margin: int = 0) -> tuple[slice, slice]:
        """Rows and columns of the `chosen` runs [R] (at least one), with `margin` pixels around, inside the frame."""
        height, width = self.begins.shape
        starts, lengths = self.starts[chosen], self.lengths[chosen]
        left = starts % width
        first, last = int(left.min()), int((left + lengths).max())
        top, bottom = int(starts[0]) // width, int(starts[-1]) // width + 1
        return (
            slice(max(top - margin, 0), min(bottom + margin, height)),
            slice(max(first - margin, 0), min(last + margin, width)),
        )


def pixels_of_runs(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Flat indices of all pixels of the runs, one run after the other, int64 [sum of lengths]."""
    before = np.cumsum(lengths) - lengths
    pixels = np.repeat(starts - before, lengths)
    pixels += np.arange(len(pixels))
    return pixels


def runs_of_pixels(pixels: NDArray[np.integer], width: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Starts and lengths of the runs of ascending flat indices in a frame of `width` columns."""
    begins = np.ones(len(pixels), dtype=bool)
    begins[1:] = (np.diff(pixels) != 1) | (pixels[1:] % width == 0)
    first = np.flatnonzero(begins)
    return pixels[first].astype(np.int64), np.diff(first, append=len(pixels))


def union_by_owner(
    starts: NDArray[np.int64],
    lengths: NDArray[np.int64],
    owners: NDArray[np.int64],
    count: int,
    shape: tuple[int, int],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The pixels of each of `count` owners as runs: starts, lengths, offsets [count + 1].

    Runs of one owner may come in any order, touch or overlap; the result is sorted by owner and raster order, and its
    runs do neither.
    """
    size = shape[0] * shape[1]
    begins = owners.astype(np.int64) * size + starts
    order = np.argsort(begins, kind="stable")
    begins, starts, lengths = begins[order], starts[order], lengths[order]
    ends = np.maximum.accumulate(begins + lengths)
    fresh = np.ones(len(begins), dtype=bool)
    fresh[1:] = (begins[1:] > ends[:-1]) | (starts[1:] % shape[1] == 0) & (begins[1:] == ends[:-1])
    first = np.flatnonzero(fresh)
    last = np.append(first[1:], len(begins))[: len(first)] - 1
    offsets = np.searchsorted(begins[first], np.arange(count + 1) * size)
    return starts[first], ends[last] - begins[first], offsets
