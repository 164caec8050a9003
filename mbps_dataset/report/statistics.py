"""What the report page counts over a split: pixels per class, instances per image, depth.

Histograms choose their bins from the data: depth of unknown scale lies anywhere, and scenes hold 3 or 300 instances.
Depth is counted in 1280 logarithmic steps first, so that one pass over the rows is enough.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mbps_dataset.records import DecodedRow


BARS = 14
"""About how many bars a histogram has."""

_STEPS_PER_OCTAVE = 32
_OCTAVES = (-20, 20)


@dataclass(frozen=True)
class Histogram:
    """Bars with a label each, and a sentence about what they leave out."""

    labels: list[str]
    counts: list[int]
    note: str


class SplitStatistics:
    """Counts over a split; `add` each row, then read."""

    def __init__(self, classes: int) -> None:
        self.pixels = np.zeros(classes, dtype=np.int64)
        self.total_px = self.unknown_depth_px = self.segments = 0
        self.instances: list[int] = []
        self.depth = np.zeros((_OCTAVES[1] - _OCTAVES[0]) * _STEPS_PER_OCTAVE, dtype=np.int64)

    def add(self, row: DecodedRow) -> None:
        """Count one row."""
        self.pixels += np.bincount(row.semantic.ravel(), minlength=len(self.pixels))[: len(self.pixels)]
        self.total_px += row.semantic.size
        self.segments += len(row.segments)
        self.instances.append(int(row.instance.max(initial=0)))
        known = row.depth[row.depth > 0]
        self.unknown_depth_px += row.depth.size - known.size
        steps = np.floor((np.log2(known) - _OCTAVES[0]) * _STEPS_PER_OCTAVE).astype(np.int64)
        self.depth += np.bincount(np.clip(steps, 0, len(self.depth) - 1), minlength=len(self.depth))

    @property
    def void_px(self) -> int:
        """Pixels of no class."""
        return self.total_px - int(self.pixels.sum())

    def instance_histogram(self) -> Histogram:
        """Images by their number of instances, in bars of equal width."""
        counts = np.array(self.instances)
        width = max(1, -(-(int(counts.max(initial=0)) + 1) // BARS))
        starts = range(
            int(counts.min(initial=counts.max(initial=0))) // width * width, int(counts.max(initial=0)) + 1, width
        )
        labels = [str(start) if width == 1 else f"{start}–{start + width - 1}" for start in starts]
        images = [int(((counts >= start) & (counts < start + width)).sum()) for start in starts]
        median = np.median(counts) if len(counts) else 0
        return Histogram(labels, images, f"Median {median:g}, {counts.sum()} in all.")

    def depth_histogram(self) -> Histogram:
        """Pixels by depth, in bars of equal ratio between the 0.5th and the 99.5th percentile."""
        share_unknown = self.unknown_depth_px / max(self.total_px, 1)
        note = f"{share_unknown:.1%} of the pixels have no depth." if share_unknown else "Every pixel has a depth."
        if not self.depth.any():
            return Histogram([], [], note)
        cumulated = np.cumsum(self.depth) / self.depth.sum()
        first, last = int(np.searchsorted(cumulated, 0.005)), int(np.searchsorted(cumulated, 0.995))
        width = max(1, -(-(last + 1 - first) // BARS))
        starts = list(range(first, last + 1, width))
        edges = [2 ** (step / _STEPS_PER_OCTAVE + _OCTAVES[0]) for step in (*starts, starts[-1] + width)]
        bars = [int(self.depth[start : start + width].sum()) for start in starts]
        labels = [f"{short(low)}–{short(high)}" for low, high in zip(edges, edges[1:])]
        return Histogram(labels, bars, f"{note} The nearest and farthest half percent are not shown.")


def short(value: float) -> str:
    """Three digits, without a power of ten.

    >>> short(0.91234), short(12.345), short(1234.5)
    ('0.912', '12.3', '1234')
    """
    digits = max(0, 2 - int(np.floor(np.log10(value))))
    return f"{value:.{digits}f}"
