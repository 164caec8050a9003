"""Where the random numbers of the clustering come from: a seed, or a record of somebody else's.

A source of draws is asked for n numbers, uniform in [0, 1), and gives float32 [n].
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray


Draws = Callable[[int], NDArray[np.float32]]


def seeded_draws(seed: int, run: int) -> Draws:
    """An endless source for one run of an image; the same `seed` and `run` give the same numbers."""
    generator = np.random.default_rng([seed, run])
    return lambda count: generator.random(count, dtype=np.float32)


def recorded_draws(values: ArrayLike) -> Draws:
    """A source that hands out `values` [n] in order. Raises `ValueError` if asked for more than there are."""
    numbers = np.asarray(values, dtype=np.float32)
    used = 0

    def draw(count: int) -> NDArray[np.float32]:
        nonlocal used
        if used + count > len(numbers):
            raise ValueError(f"{count} more draws are needed, but of {len(numbers)} recorded ones {used} are used.")
        used += count
        return numbers[used - count : used]

    return draw


def pick(draws: NDArray[np.float32], counts: ArrayLike) -> NDArray[np.int64]:
    """floor(u · count) in float32, below count: int64, one for each draw."""
    limits = np.broadcast_to(np.asarray(counts), draws.shape)
    return np.minimum(np.floor(draws * limits.astype(np.float32)).astype(np.int64), limits - 1)
