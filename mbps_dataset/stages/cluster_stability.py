"""How many clusters the images themselves support: agreement of clusters fitted on other halves of them; label-free (ours).

Two k-means are fitted, each on the tokens of another random half of the images, and both are asked for all tokens. The
adjusted Rand index says how far they agree on which tokens belong together: 1 if they do in everything, 0 if no more than by
chance (Hubert and Arabie, 1985). Halves are of images, not of tokens, so that clusters that stand for one image disagree.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mbps_dataset.stages.overclustering import fit_kmeans


NEAR_BEST = 0.05
"""How much less agreement than the most stable number a larger one may have and still be proposed."""

_MOST_TOKENS = 20_000


def stability(
    images: Sequence[NDArray[np.floating]], counts: Sequence[int], *, seed: int = 0, draws: int = 2
) -> dict[int, float]:
    """Mean agreement for each number of clusters, from the tokens [N, C] of at least two images.

    More than 20,000 tokens are thinned evenly. Raises `ValueError` for fewer images, or fewer distinct tokens than clusters.
    """
    if len(images) < 2:
        raise ValueError(f"Expected at least 2 images to halve, but got {len(images)}.")
    step = max(1, 2 * sum(map(len, images)) // _MOST_TOKENS)
    thinned = [image[::step] for image in images]
    every = np.concatenate(thinned)
    found: dict[int, list[float]] = {count: [] for count in counts}
    for draw in range(draws):
        order = np.random.default_rng(seed + draw).permutation(len(images))
        halves = [np.concatenate([thinned[k] for k in half]) for half in np.array_split(order, 2)]
        for count in counts:
            one, other = (
                (every @ fit_kmeans(half, count, seed=seed, restarts=1, iterations=30).T).argmax(axis=1)
                for half in halves
            )
            found[count].append(adjusted_rand_index(one, other))
    return {count: float(np.mean(values)) for count, values in found.items()}


def proposed(agreements: dict[int, float]) -> int:
    """The largest number of clusters that is nearly as stable as the most stable one (see `NEAR_BEST`).

    >>> proposed({27: 0.62, 54: 0.60, 80: 0.58, 120: 0.50})
    80
    """
    best = max(agreements.values())
    return max(count for count, value in agreements.items() if value >= best - NEAR_BEST)


def adjusted_rand_index(one: NDArray[np.integer], other: NDArray[np.integer]) -> float:
    """Agreement of two groupings [N] of the same things, whatever their numbers.

    >>> adjusted_rand_index(np.array([0, 0, 1, 1]), np.array([5, 5, 3, 3]))
    1.0
    """
    table = np.zeros((int(one.max()) + 1, int(other.max()) + 1))
    np.add.at(table, (one, other), 1)
    together = _pairs(table).sum()
    rows, columns, every = _pairs(table.sum(axis=1)).sum(), _pairs(table.sum(axis=0)).sum(), _pairs(np.array(len(one)))
    by_chance = rows * columns / every
    most = (rows + columns) / 2
    return float(1.0 if most == by_chance else (together - by_chance) / (most - by_chance))


def _pairs(counts: NDArray[np.floating]) -> NDArray[np.floating]:
    return counts * (counts - 1) / 2
