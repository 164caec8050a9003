"""Where the random numbers of the clustering come from: a seed, or whatever else gives them (a record of the reference's).

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


def pick(draws: NDArray[np.float32], counts: ArrayLike) -> NDArray[np.int64]:
    """floor(u · count) in float32, below count: int64, one for each draw."""
    limits = np.broadcast_to(np.asarray(counts), draws.shape)
    return np.minimum(np.floor(draws * limits.astype(np.float32)).astype(np.int64), limits - 1)
