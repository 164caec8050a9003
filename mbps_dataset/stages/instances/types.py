"""`Instances`: the one data class every instance method returns and every later step takes.

Decisions made here (ours):

* an instance is its list of runs. A full-frame mask per instance makes every step cost N × H × W; runs make it cost
  the outline of the things, whatever N;
* instances may overlap, because in the report's method a later component keeps pixels an earlier one claimed;
  a label map alone cannot hold that;
* class −1 means "not known": the class is then the majority of the semantic map under the mask.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mbps_dataset.resizing import nearest_indices
from mbps_dataset.stages.instances.runs import pixels_of_runs, runs_of_pixels, union_by_owner


UNKNOWN_CLASS = -1
"""Class of an instance from a class-agnostic method."""


class Instances:
    """N instances of one image, in order; immutable.

    `shape` (H, W); `class_ids` int64 [N], −1 where unknown; `scores` float64 [N]. The masks are kept as runs:
    `run_starts` (flat index y · W + x of a run's first pixel) and `run_lengths`, int64 [R], one instance after the
    other, in raster order within each, no run crossing a row's end; `offsets` int64 [N + 1], so that instance i owns
    runs ``offsets[i]`` to ``offsets[i + 1] - 1``.

    >>> instances = Instances(np.eye(3, dtype=bool)[None], class_ids=[13])
    >>> len(instances), instances.areas.tolist(), instances.boxes().tolist()
    (1, [3], [[0, 0, 3, 3]])
    """

    __slots__ = ("shape", "class_ids", "scores", "run_starts", "run_lengths", "offsets")

    shape: tuple[int, int]
    class_ids: NDArray[np.int64]
    scores: NDArray[np.float64]
    run_starts: NDArray[np.int64]
    run_lengths: NDArray[np.int64]
    offsets: NDArray[np.int64]

    def __init__(self, masks: ArrayLike, class_ids: ArrayLike | None = None, scores: ArrayLike | None = None) -> None:
        """From `masks` [N, H, W] bool (or 0 / non-zero); `class_ids` default to −1, `scores` to 1.

        Raises `ValueError` if the masks have another rank or the lengths differ.
        """
        stack = np.asarray(masks)
        if stack.ndim != 3:
            raise ValueError(f"Expected `masks` to be (N, H, W), but got shape {stack.shape}.")
        self._fill(stack.shape[1:], [np.flatnonzero(mask) for mask in stack], class_ids, scores)

    @classmethod
    def from_pixels(
        cls,
        shape: tuple[int, int],
        pixels: Sequence[NDArray[np.integer]],
        class_ids: ArrayLike | None = None,
        scores: ArrayLike | None = None,
    ) -> Instances:
        """From one list of flat pixel indices per instance, each ascending and without repeats."""
        instances = cls.__new__(cls)
        instances._fill(shape, pixels, class_ids, scores)
        return instances

    @classmethod
    def from_runs(
        cls,
        shape: tuple[int, int],
        run_starts: NDArray[np.int64],
        run_lengths: NDArray[np.int64],
        offsets: NDArray[np.int64],
        class_ids: ArrayLike | None = None,
        scores: ArrayLike | None = None,
    ) -> Instances:
        """From the stored form itself; see the class for what the arrays must hold."""
        instances = cls.__new__(cls)
        instances._assign(shape, run_starts, run_lengths, offsets, class_ids, scores)
        return instances

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """The stored form as named arrays, for a file; `from_arrays` reads it back."""
        names = ("run_starts", "run_lengths", "offsets", "class_ids", "scores")
        return {"shape": np.array(self.shape, dtype=np.int64)} | {name: getattr(self, name) for name in names}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Instances:
        """Inverse of `to_arrays`."""
        height, width = (int(side) for side in arrays["shape"])
        starts, lengths, offsets = (arrays[name].astype(np.int64) for name in ("run_starts", "run_lengths", "offsets"))
        return cls.from_runs((height, width), starts, lengths, offsets, arrays["class_ids"], arrays["scores"])

    @classmethod
    def empty(cls, shape: tuple[int, int]) -> Instances:
        """No instance in an image of `shape` (H, W)."""
        return cls.from_pixels(shape, [])

    @classmethod
    def concatenate(cls, parts: Iterable[Instances]) -> Instances:
        """The instances of all parts, part after part. Raises `ValueError` if there is none or sizes differ."""
        items = list(parts)
        if len({item.shape for item in items}) != 1:
            raise ValueError(f"Expected instances of one image size, but got {sorted({i.shape for i in items})}.")
        return cls.from_runs(
            items[0].shape,
            np.concatenate([item.run_starts for item in items]),
            np.concatenate([item.run_lengths for item in items]),
            np.concatenate([[0], np.cumsum(np.concatenate([np.diff(item.offsets) for item in items]))]),
            np.concatenate([item.class_ids for item in items]),
            np.concatenate([item.scores for item in items]),
        )

    def _fill(
        self,
        shape: tuple[int, ...],
        lists: Sequence[NDArray[np.integer]],
        class_ids: ArrayLike | None,
        scores: ArrayLike | None,
    ) -> None:
        nothing = np.zeros(0, dtype=np.int64)
        runs = [runs_of_pixels(pixels, shape[1]) for pixels in lists]
        starts = np.concatenate([starts for starts, _ in runs]) if runs else nothing
        lengths = np.concatenate([lengths for _, lengths in runs]) if runs else nothing
        offsets = np.cumsum([0, *(len(starts) for starts, _ in runs)])
        self._assign(shape, starts, lengths, offsets, class_ids, scores)

    def _assign(
        self,
        shape: tuple[int, ...],
        run_starts: NDArray[np.integer],
        run_lengths: NDArray[np.integer],
        offsets: NDArray[np.integer],
        class_ids: ArrayLike | None,
        scores: ArrayLike | None,
    ) -> None:
        count = len(offsets) - 1
        known = np.full(count, UNKNOWN_CLASS) if class_ids is None else class_ids
        fields = {
            "class_ids": np.asarray(known).astype(np.int64),
            "scores": np.asarray(np.ones(count) if scores is None else scores).astype(np.float64),
            "run_starts": np.asarray(run_starts, dtype=np.int64),
            "run_lengths": np.asarray(run_lengths, dtype=np.int64),
            "offsets": np.asarray(offsets, dtype=np.int64),
        }
        for name in ("class_ids", "scores"):
            if fields[name].shape != (count,):
                raise ValueError(
                    f"Expected one entry of `{name}` per instance ({count}), but got shape {fields[name].shape}."
                )
        for name, values in fields.items():
            values.setflags(write=False)
            object.__setattr__(self, name, values)
        object.__setattr__(self, "shape", (int(shape[0]), int(shape[1])))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"Instances cannot be changed (`{name}`); make new ones with `select` or `replace`.")

    def __reduce__(self) -> tuple[object, ...]:
        state = (self.shape, self.run_starts, self.run_lengths, self.offsets, self.class_ids, self.scores)
        return Instances.from_runs, state

    def __len__(self) -> int:
        return len(self.class_ids)

    def __iter__(self) -> Iterator[NDArray[np.int64]]:
        """Flat pixel indices of each instance, ascending."""
        pixels, bounds = self.pixels(), np.concatenate([[0], np.cumsum(self.areas)]).tolist()
        return (pixels[start:stop] for start, stop in zip(bounds, bounds[1:]))

    def __repr__(self) -> str:
        return f"Instances(shape={self.shape}, count={len(self)}, pixels={int(self.run_lengths.sum())})"

    @property
    def areas(self) -> NDArray[np.int64]:
        """Pixels per instance, int64 [N]."""
        upto = np.concatenate([[0], np.cumsum(self.run_lengths)])
        return np.diff(upto[self.offsets])

    def pixels(self) -> NDArray[np.int64]:
        """Flat pixel indices of all instances, one after the other, int64 [sum of areas]."""
        return pixels_of_runs(self.run_starts, self.run_lengths)

    def owners(self) -> NDArray[np.int64]:
        """Index of the instance each entry of `pixels` belongs to, int64 [sum of areas]."""
        return np.repeat(np.arange(len(self)), self.areas)

    def pixels_of(self, index: int) -> NDArray[np.int64]:
        """Flat pixel indices of one instance, ascending."""
        runs = slice(self.offsets[index], self.offsets[index + 1])
        return pixels_of_runs(self.run_starts[runs], self.run_lengths[runs])

    def mask(self, index: int) -> NDArray[np.bool_]:
        """Mask of one instance, bool [H, W]."""
        mask = np.zeros(self.shape[0] * self.shape[1], dtype=bool)
        mask[self.pixels_of(index)] = True
        return mask.reshape(self.shape)

    def masks(self) -> NDArray[np.bool_]:
        """All masks, bool [N, H, W]. Costs N × H × W: for looking at, not for computing with."""
        masks = np.zeros((len(self), self.shape[0] * self.shape[1]), dtype=bool)
        for mask, pixels in zip(masks, self):
            mask[pixels] = True
        return masks.reshape(len(self), *self.shape)

    def boxes(self) -> NDArray[np.int64]:
        """Bounding boxes (x, y, width, height), int64 [N, 4]; zeros for an empty instance."""
        boxes = np.zeros((len(self), 4), dtype=np.int64)
        filled = np.flatnonzero(np.diff(self.offsets))
        if len(filled):
            first = self.offsets[filled]
            left, top = self.run_starts % self.shape[1], self.run_starts // self.shape[1]
            boxes[filled, 0] = np.minimum.reduceat(left, first)
            boxes[filled, 1] = top[first]
            boxes[filled, 2] = np.maximum.reduceat(left + self.run_lengths, first) - boxes[filled, 0]
            boxes[filled, 3] = top[self.offsets[filled + 1] - 1] + 1 - boxes[filled, 1]
        return boxes

    def select(self, indices: ArrayLike) -> Instances:
        """The instances at `indices` (integers, or bool [N]), in that order."""
        chosen = np.asarray(indices)
        chosen = np.flatnonzero(chosen) if chosen.dtype == bool else chosen.astype(np.int64)
        counts = np.diff(self.offsets)[chosen]
        runs = pixels_of_runs(self.offsets[chosen], counts)
        offsets = np.concatenate([[0], np.cumsum(counts)])
        return Instances.from_runs(
            self.shape,
            self.run_starts[runs],
            self.run_lengths[runs],
            offsets,
            self.class_ids[chosen],
            self.scores[chosen],
        )

    def replace(self, *, class_ids: ArrayLike | None = None, scores: ArrayLike | None = None) -> Instances:
        """The same masks with other classes or scores."""
        return Instances.from_runs(
            self.shape,
            self.run_starts,
            self.run_lengths,
            self.offsets,
            self.class_ids if class_ids is None else class_ids,
            self.scores if scores is None else scores,
        )

    def resized(self, height: int, width: int) -> Instances:
        """The masks at `height` × `width`, each pixel taken from the nearest one: index floor((i + ½) · in / out)."""
        rows, columns = nearest_indices(self.shape[0], height), nearest_indices(self.shape[1], width)
        row, left = np.divmod(self.run_starts, self.shape[1])
        first, last = np.searchsorted(columns, left), np.searchsorted(columns, left + self.run_lengths)
        top, bottom = np.searchsorted(rows, row), np.searchsorted(rows, row, side="right")
        copies = np.where(last > first, bottom - top, 0)
        targets = pixels_of_runs(top, copies) * width + np.repeat(first, copies)
        owners = np.repeat(np.repeat(np.arange(len(self)), np.diff(self.offsets)), copies)
        lengths = np.repeat(last - first, copies)
        runs = union_by_owner(targets, lengths, owners, len(self), (height, width))
        return Instances.from_runs((height, width), *runs, self.class_ids, self.scores)
