"""`Instances`: the one data class every instance method returns and every later step takes.

Decisions made here (ours):

* an instance is the sorted list of its pixels. A full-frame mask per instance makes every step cost
  N × H × W; pixel lists make it cost the number of thing pixels, whatever N;
* instances may overlap, because in the report's method a later component keeps pixels an earlier one claimed;
  a label map alone cannot hold that;
* class −1 means "not known": the class is then the majority of the semantic map under the mask.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray


UNKNOWN_CLASS = -1
"""Class of an instance from a class-agnostic method."""


class Instances:
    """N instances of one image, in order; immutable.

    `shape` (H, W); `class_ids` int64 [N], −1 where unknown; `scores` float64 [N]; `pixels` int64 [P], the flat indices
    y · W + x of all instances, one instance after the other, ascending within each; `offsets` int64 [N + 1], so that
    instance i owns ``pixels[offsets[i]:offsets[i + 1]]``.

    >>> instances = Instances(np.eye(3, dtype=bool)[None], class_ids=[13])
    >>> len(instances), instances.areas.tolist(), instances.boxes().tolist()
    (1, [3], [[0, 0, 3, 3]])
    """

    __slots__ = ("shape", "class_ids", "scores", "pixels", "offsets")

    shape: tuple[int, int]
    class_ids: NDArray[np.int64]
    scores: NDArray[np.float64]
    pixels: NDArray[np.int64]
    offsets: NDArray[np.int64]

    def __init__(self, masks: ArrayLike, class_ids: ArrayLike | None = None, scores: ArrayLike | None = None) -> None:
        """From `masks` [N, H, W] bool (or 0 / non-zero); `class_ids` default to −1, `scores` to 1.

        Errors: ValueError if the masks have another rank or the lengths differ.
        """
        stack = np.asarray(masks)
        if stack.ndim != 3:
            raise ValueError(f"Expected `masks` to be (N, H, W), but got shape {stack.shape}.")
        lists = [np.flatnonzero(mask) for mask in stack]
        self._fill(stack.shape[1:], lists, class_ids, scores)

    @classmethod
    def from_masks(
        cls, masks: ArrayLike, class_ids: ArrayLike | None = None, scores: ArrayLike | None = None
    ) -> Instances:
        """The same as calling the class."""
        return cls(masks, class_ids, scores)

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
    def from_offsets(
        cls,
        shape: tuple[int, int],
        pixels: NDArray[np.integer],
        offsets: NDArray[np.integer],
        class_ids: ArrayLike | None = None,
        scores: ArrayLike | None = None,
    ) -> Instances:
        """From the stored form itself: all pixels in one array and where each instance begins."""
        instances = cls.__new__(cls)
        instances._assign(shape, pixels, offsets, class_ids, scores)
        return instances

    @classmethod
    def empty(cls, shape: tuple[int, int]) -> Instances:
        """No instance in an image of `shape` (H, W)."""
        return cls.from_pixels(shape, [])

    @classmethod
    def concatenate(cls, parts: Iterable[Instances]) -> Instances:
        """The instances of all parts, one part after the other. Errors: ValueError if there is none or sizes differ."""
        items = list(parts)
        if len({item.shape for item in items}) != 1:
            raise ValueError(f"Expected instances of one image size, but got {sorted({i.shape for i in items})}.")
        lists = [pixels for item in items for pixels in item]
        class_ids = np.concatenate([item.class_ids for item in items])
        return cls.from_pixels(items[0].shape, lists, class_ids, np.concatenate([item.scores for item in items]))

    def _fill(
        self,
        shape: tuple[int, ...],
        lists: Sequence[NDArray[np.integer]],
        class_ids: ArrayLike | None,
        scores: ArrayLike | None,
    ) -> None:
        offsets = np.zeros(len(lists) + 1, dtype=np.int64)
        np.cumsum([len(pixels) for pixels in lists], out=offsets[1:])
        pixels = np.concatenate(lists) if len(lists) else np.zeros(0, dtype=np.int64)
        self._assign(shape, pixels, offsets, class_ids, scores)

    def _assign(
        self,
        shape: tuple[int, ...],
        pixels: NDArray[np.integer],
        offsets: NDArray[np.integer],
        class_ids: ArrayLike | None,
        scores: ArrayLike | None,
    ) -> None:
        count = len(offsets) - 1
        fields = {
            "class_ids": np.full(count, UNKNOWN_CLASS, np.int64)
            if class_ids is None
            else np.array(class_ids, np.int64),
            "scores": np.ones(count, np.float64) if scores is None else np.array(scores, np.float64),
            "pixels": np.asarray(pixels, dtype=np.int64),
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
        raise AttributeError(f"Instances cannot be changed (`{name}`); make a new one with `select` or `from_pixels`.")

    def __reduce__(self) -> tuple[object, ...]:
        return Instances.from_offsets, (self.shape, self.pixels, self.offsets, self.class_ids, self.scores)

    def __len__(self) -> int:
        return len(self.class_ids)

    def __iter__(self) -> Iterator[NDArray[np.int64]]:
        """Flat pixel indices of each instance."""
        bounds = self.offsets.tolist()
        return (self.pixels[start:stop] for start, stop in zip(bounds, bounds[1:]))

    def __repr__(self) -> str:
        return f"Instances(shape={self.shape}, count={len(self)}, pixels={len(self.pixels)})"

    @property
    def areas(self) -> NDArray[np.int64]:
        """Pixels per instance, int64 [N]."""
        return np.diff(self.offsets)

    @property
    def owners(self) -> NDArray[np.int64]:
        """Index of the instance each entry of `pixels` belongs to, int64 [P]."""
        return np.repeat(np.arange(len(self)), self.areas)

    def mask(self, index: int) -> NDArray[np.bool_]:
        """Mask of one instance, bool [H, W]."""
        mask = np.zeros(self.shape[0] * self.shape[1], dtype=bool)
        mask[self.pixels[self.offsets[index] : self.offsets[index + 1]]] = True
        return mask.reshape(self.shape)

    def masks(self) -> NDArray[np.bool_]:
        """All masks, bool [N, H, W]. Costs N × H × W: for looking at, not for computing with."""
        masks = np.zeros((len(self), self.shape[0] * self.shape[1]), dtype=bool)
        masks[self.owners, self.pixels] = True
        return masks.reshape(len(self), *self.shape)

    def boxes(self) -> NDArray[np.int64]:
        """Bounding boxes (x, y, width, height), int64 [N, 4]; zeros for an empty instance."""
        boxes = np.zeros((len(self), 4), dtype=np.int64)
        for index, pixels in enumerate(self):
            if len(pixels):
                columns = pixels % self.shape[1]
                left, top = columns.min(), pixels[0] // self.shape[1]
                boxes[index] = left, top, columns.max() - left + 1, pixels[-1] // self.shape[1] - top + 1
        return boxes

    def select(self, indices: ArrayLike) -> Instances:
        """The instances at `indices` (integers, or bool [N]), in that order."""
        chosen = np.asarray(indices)
        chosen = np.flatnonzero(chosen) if chosen.dtype == bool else chosen.astype(np.int64)
        lists = [self.pixels[self.offsets[i] : self.offsets[i + 1]] for i in chosen]
        return Instances.from_pixels(self.shape, lists, self.class_ids[chosen], self.scores[chosen])
