"""`Panoptic`: one image's segments, each pixel in at most one.

Decisions made here:

* segment ids are 1 … N without gaps and 0 is void, so that class 0 (road) and void never share a value, and the number
  of instances of a class is not limited (ours);
* the report's ``class_id · 1000 + k`` is offered as a view with a void value of its own; it has room for 999 instances
  of a class, and a 1000th is an error or shares the last id, never the next class's;
* resizing takes the nearest source pixel by the rule of Pillow's NEAREST, in exact integers (where the centre of a
  pixel lies exactly on a border, Pillow's running sum of fractions may fall to the other side).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mbps_dataset.resizing import resize_nearest
from mbps_dataset.stages.instances.runs import Runs
from mbps_dataset.stages.instances.types import Instances


REPORT_VOID = 255_000
"""Void in the report's map, where the reference code writes 0, which is also its value for road."""

_IDS_PER_CLASS = 1000


@dataclass(frozen=True)
class Segment:
    """One segment: `id` from 1, `class_id`, thing or stuff, `area` in pixels, `bbox` (x, y, width, height), `score` in
    [0, 1] (1 for stuff)."""

    id: int
    class_id: int
    isthing: bool
    area: int
    bbox: tuple[int, int, int, int]
    score: float


@dataclass(frozen=True, eq=False)
class Panoptic:
    """`segment_map` int32 [H, W], 0 = void; `segments` in the order of their ids, ``segments[i].id == i + 1``."""

    segment_map: NDArray[np.int32]
    segments: tuple[Segment, ...]

    @classmethod
    def from_map(
        cls,
        segment_map: NDArray[np.integer],
        class_ids: list[int],
        isthing: list[bool],
        scores: list[float],
    ) -> Panoptic:
        """From a map whose value i + 1 means entry i of the lists. Segments without a pixel are dropped and the rest
        renumbered; areas and boxes are taken from the map.

        Raises `ValueError` if the map holds an id that no entry describes.
        """
        runs = Runs.of(segment_map)
        areas = runs.counts(minlength=len(class_ids) + 1)[1:]
        if len(areas) > len(class_ids):
            raise ValueError(f"`segment_map` holds id {len(areas)}, but only {len(class_ids)} segments are described.")
        kept = np.flatnonzero(areas)
        ids = segment_map.astype(np.int32)
        if len(kept) < len(class_ids):
            table = np.zeros(len(class_ids) + 1, dtype=np.int32)
            table[kept + 1] = np.arange(1, len(kept) + 1)
            ids = table[ids]
        boxes = _boxes(runs, len(class_ids)).tolist()
        segments = tuple(
            Segment(number, int(class_ids[i]), bool(isthing[i]), int(areas[i]), tuple(boxes[i]), float(scores[i]))
            for number, i in enumerate(kept.tolist(), start=1)
        )
        ids.setflags(write=False)
        return cls(ids, segments)

    def semantic(self, void: int | None = None) -> NDArray[np.integer]:
        """Class per pixel [H, W]: uint8 with void 255, or uint16 with void 65535 if a class id is above 254.

        A given `void` takes their place; above 255 it makes the map uint16, whatever the classes of this image.
        """
        highest = max((segment.class_id for segment in self.segments), default=0)
        dtype = np.uint8 if highest < 255 and (void or 0) <= 255 else np.uint16
        blank = int(np.iinfo(dtype).max) if void is None else void
        return self._view(blank, [segment.class_id for segment in self.segments]).astype(dtype)

    def instance(self) -> NDArray[np.uint16]:
        """0 = none, k = k-th thing of the image in segment order; uint16 [H, W].

        Raises `ValueError` for more than 65535 things.
        """
        things = np.cumsum([segment.isthing for segment in self.segments], dtype=np.int64)
        if len(things) and things[-1] > 65535:
            raise ValueError(
                f"{things[-1]} things do not fit a 16-bit instance map (65535 at most); raise `min_area`, "
                "or use `segment_map`, which is 32-bit."
            )
        values = [int(k) if segment.isthing else 0 for segment, k in zip(self.segments, things)]
        return np.array([0, *values], dtype=np.uint16)[self.segment_map]

    def report_map(
        self, void: int = REPORT_VOID, *, overflow: Literal["raise", "share"] = "raise"
    ) -> NDArray[np.int32]:
        """The report's map, int32 [H, W]: stuff ``class_id · 1000``, the k-th thing of a class ``class_id · 1000 + k``.

        `void` 255000, or 0 for the reference code's own map. A class with more than 999 things raises `ValueError`;
        with ``overflow="share"`` its things from the 999th on share k = 999. Also ValueError if a class's range holds
        `void` (class 255 and the default; class 0 and 0 is the reference's own collision and allowed).
        """
        values: list[int] = []
        seen: Counter[int] = Counter()
        for segment in self.segments:
            seen[segment.class_id] += segment.isthing
            number = min(seen[segment.class_id], _IDS_PER_CLASS - 1) if segment.isthing else 0
            values.append(segment.class_id * _IDS_PER_CLASS + number)
        class_id, most = max(seen.items(), key=lambda item: item[1], default=(0, 0))
        if most >= _IDS_PER_CLASS and overflow == "raise":
            raise ValueError(
                f"Class {class_id} has {most} things, but class_id * 1000 + k has room for 999; use `segment_map`, or "
                'pass overflow="share" to let the rest share k = 999.'
            )
        if void and void in values:
            raise ValueError(f"Void value {void} is also the id of a segment; pass another `void`.")
        return self._view(void, values)

    def resized(self, height: int, width: int) -> Panoptic:
        """The nearest source pixel for each of `height` × `width` pixels: index floor((i + ½) · in / out).

        Segments that vanish are dropped, ids closed up, areas and boxes taken anew.
        """
        if height < 1 or width < 1:
            raise ValueError(f"Expected a size of at least 1 x 1 pixels, but got {height} x {width}.")
        return Panoptic.from_map(
            resize_nearest(self.segment_map, height, width),
            [segment.class_id for segment in self.segments],
            [segment.isthing for segment in self.segments],
            [segment.score for segment in self.segments],
        )

    def _view(self, background: int, values: list[int]) -> NDArray[np.int32]:
        return np.array([background, *values], dtype=np.int32)[self.segment_map]


def _boxes(runs: Runs, count: int) -> NDArray[np.int64]:
    """(x, y, width, height) of each of the values 1 … `count`, int64 [count, 4]; zeros where it does not occur."""
    order = np.argsort(runs.values, kind="stable")
    offsets = np.searchsorted(runs.values[order], np.arange(1, count + 2))
    segments = Instances.from_runs(
        runs.begins.shape, runs.starts[order][offsets[0] :], runs.lengths[order][offsets[0] :], offsets - offsets[0]
    )
    return segments.boxes()
