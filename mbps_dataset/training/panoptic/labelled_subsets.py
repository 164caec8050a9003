"""Few labels: subsets of a data set's labelled images, and the mean and spread of what each of them gives.

CUPS (Fig. 5) trains with N labelled images, three times, each time on others. Which images are drawn decides at small N,
so one number says little; three disjoint subsets from one seed say how much.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from mbps_dataset.errors import InputError


SUBSETS = 3


def disjoint_subsets(images: int, size: int, *, subsets: int = SUBSETS, seed: int = 0) -> list[list[int]]:
    """`subsets` times `size` numbers below `images`, ascending, no number twice.

    The same seed gives the same subsets; a larger `size` holds the smaller ones where both are cut from one order, as
    long as `subsets` stays the same. Raises `InputError` if there are too few images, `ValueError` for a size below 1.
    """
    if size < 1 or subsets < 1:
        raise ValueError(f"Expected at least one subset of at least one image, but got {subsets} of {size}.")
    if subsets * size > images:
        raise InputError(
            f"{subsets} disjoint subsets of {size} images need {subsets * size}, but the set has {images}; take at most "
            f"{images // subsets} a subset, or fewer subsets."
        )
    order = np.random.default_rng(seed).permutation(images)
    return [sorted(order[number::subsets][:size].tolist()) for number in range(subsets)]


class MeanAndSpread(NamedTuple):
    """Mean and standard deviation (of a sample: divided by n − 1; NaN for a single one)."""

    mean: float
    deviation: float


def over_subsets(scores: Sequence[Mapping[str, float]]) -> dict[str, MeanAndSpread]:
    """Each number that every subset has, over the subsets. Raises `ValueError` if there is no subset."""
    if not scores:
        raise ValueError("Expected the scores of at least one subset, but got none.")
    shared = [name for name in scores[0] if all(name in each for each in scores)]
    values = {name: np.array([each[name] for each in scores], dtype=np.float64) for name in shared}
    return {
        name: MeanAndSpread(float(each.mean()), float(each.std(ddof=1)) if len(each) > 1 else math.nan)
        for name, each in values.items()
    }
