"""Whether saliency tells classes apart at all, or no better than chance; label-free (ours).

A class token that has lost its meaning attends to something, and a ranking of classes by it looks like any other. What is
asked here: are a class's pixels more, or less, salient than those of other classes *because of what is there*?

    explained = Σ_k s_k² / n_k − S² / N   over   S (1 − S / N)

is the share of the variance of a saliency mask that the classes explain (n_k pixels of class k, s_k of them salient, N and S
their sums). It is held against the same number with the class map of an image and the mask of *another* one, which keeps
where classes lie and where attention likes to look, and takes away what is seen. Masks come from images at least a quarter of
the set away, so that neighbours in a video do not stand for each other, plain and mirrored.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mbps_dataset.arrays import Mask, SemanticMap
from mbps_dataset.resizing import resize_nearest


GRID = 48
"""Cells of each side at which class maps and masks are compared."""

LEAST_COMPARISONS = 19
"""Fewer pairings cannot show a chance of one in twenty."""

MOST_CHANCE = 0.05


@dataclass(frozen=True)
class Seen:
    """Classes and salient cells of one image, [`GRID`, `GRID`]: uint16 and bool."""

    classes: NDArray[np.uint16]
    salient: Mask

    @classmethod
    def of(cls, semantic: SemanticMap, salient: Mask) -> Seen:
        """From a class map [H, W] and its mask [H, W]."""
        small = resize_nearest(semantic, GRID, GRID).astype(np.uint16)
        return cls(small, resize_nearest(salient.astype(np.uint8), GRID, GRID).astype(bool))


@dataclass(frozen=True)
class ChanceTest:
    """`explained` share of the saliency by the classes, `by_chance` its mean for masks of other images, `chance` of as much."""

    explained: float
    by_chance: float
    chance: float
    comparisons: int

    @property
    def tells(self) -> bool:
        """Whether saliency tells classes apart; True where there are too few images to say."""
        return self.comparisons < LEAST_COMPARISONS or self.chance <= MOST_CHANCE

    def __str__(self) -> str:
        if self.comparisons < LEAST_COMPARISONS:
            return f"whether attention tells classes apart cannot be said of so few images ({self.comparisons} comparisons)"
        better = "better" if self.tells else "no better"
        return (
            f"classes explain {self.explained:.1%} of what is salient, and {self.by_chance:.1%} with the attention of other "
            f"images ({self.comparisons} comparisons, chance {self.chance:.2f}): the ranking is {better} than chance"
        )


def chance_of_ranking(seen: Sequence[Seen], candidates: Collection[int]) -> ChanceTest:
    """Hold saliency against that of other images, over the pixels of the `candidates`: classes that can be things."""
    size = max(candidates, default=0) + 1
    wanted = np.zeros(size + 1, dtype=bool)  # the last one stands for every other class, and void
    wanted[list(candidates)] = True
    classes = np.array([np.minimum(each.classes, size) for each in seen], dtype=np.int64).reshape(
        len(seen), GRID, GRID
    )
    masks = np.array([each.salient for each in seen], dtype=bool).reshape(len(seen), GRID, GRID)
    found = _explained(classes, masks, wanted)
    first = max(1, -(-len(seen) // 4))
    shifts = np.unique(np.linspace(first, len(seen) - first, 50).astype(int)) if len(seen) > first else ()
    others = [
        _explained(classes, shifted, wanted)
        for shift in shifts
        for moved in (np.roll(masks, shift, axis=0),)
        for shifted in (moved, moved[..., ::-1])
    ]
    as_much = sum(other >= found for other in others)
    mean = float(np.mean(others)) if others else 0.0
    return ChanceTest(found, mean, (1 + as_much) / (1 + len(others)), len(others))


def _explained(classes: NDArray[np.int64], masks: Mask, wanted: NDArray[np.bool_]) -> float:
    pixels = np.bincount(classes.ravel(), minlength=len(wanted))[wanted].astype(float)
    salient = np.bincount(classes[masks], minlength=len(wanted))[wanted].astype(float)
    total, all_salient = pixels.sum(), salient.sum()
    if all_salient in (0, total):
        return 0.0
    present = pixels > 0
    between = (salient[present] ** 2 / pixels[present]).sum() - all_salient**2 / total
    return float(between / (all_salient * (1 - all_salient / total)))
