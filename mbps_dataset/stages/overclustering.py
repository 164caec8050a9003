"""Over-clustering: k-means on the codes of a whole set, k = 50 … 300 pseudo-classes instead of 27.

The report's sweep and the reference code give the road: codes merged over windows, one token per patch, unit length,
k-means, pixels assigned by cosine. Decisions made here:

* **Spherical k-means** (Dhillon and Modha, 2001) in place of scikit-learn's mini-batch k-means: tokens have unit
  length and are assigned by cosine at inference, so the fit minimises the same thing, Σ (1 − cosine).
* **Deterministic.** Rare classes hang on one cluster, and the published numbers moved by 3 PQ between two devices. The
  fit is float64 on the CPU, adds tokens in a fixed order, draws from one seeded generator, takes the best of several
  greedy k-means++ starts (Arthur and Vassilvitskii, 2007: of a few drawn tokens the best becomes a centre, which
  finds small groups more surely), and breaks every tie towards the lowest index.
* **Two ways of choosing tokens**, kept apart by the caller: label-free (all tokens) and the reference's, which hands
  in a mask `valid` made from ground truth; a label set made with the second must say that it used labels.
* A cluster that loses its tokens takes over the token farthest from its centre, so exactly k centres come out.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch.nn import functional


Array = TypeVar("Array", torch.Tensor, np.ndarray)
Float64 = NDArray[np.float64]

_BLOCK = 1 << 16
"""Tokens whose cosines are held in memory at a time."""

_TOO_FEW = "Expected at least {k} distinct tokens for {k} clusters, but got {found}; label more images or lower k."


def collect_tokens(
    codes: torch.Tensor | NDArray[np.floating],
    *,
    grid_hw: tuple[int, int],
    limit: int | None = 2000,
    seed: int = 0,
    valid: NDArray[np.bool_] | None = None,
) -> Float64:
    """Tokens of one image for the fit: codes [C, h, w] -> float64 [N, C], each of unit length.

    The codes are averaged to `grid_hw` cells (23 x 46 for 322 x 644: one per patch). `valid` bool [gh, gw] leaves
    cells out: that is the reference's mode, in which it comes from ground truth. More than `limit` tokens are drawn
    from without replacement with `seed`; None keeps all. The order is that of the cells, row by row.
    """
    pooled = functional.adaptive_avg_pool2d(torch.as_tensor(codes).detach().float().cpu()[None], grid_hw)[0]
    tokens = pooled.flatten(1).T.numpy().astype(np.float64)
    if valid is not None:
        if valid.shape != tuple(grid_hw):
            raise ValueError(
                f"Expected `valid` to have the shape of the cells {tuple(grid_hw)}, but got {valid.shape}."
            )
        tokens = tokens[valid.reshape(-1)]
    if limit is not None and len(tokens) > limit:
        chosen = np.random.default_rng(seed).choice(len(tokens), size=limit, replace=False)
        tokens = tokens[np.sort(chosen)]
    return unit_rows(tokens)


def fit_kmeans(
    tokens: NDArray[np.floating], k: int, *, seed: int = 0, restarts: int = 3, iterations: int = 100
) -> Float64:
    """Centres of spherical k-means: tokens [N, C] -> float64 [k, C], unit length.

    Minimises Σ (1 − cosine(token, its centre)); the best of `restarts` k-means++ starts, each at most `iterations`
    rounds or until no token changes its cluster. Tokens without length are left out. The same tokens, k and seed give
    the same centres. Raises `ValueError` if there are fewer distinct tokens than k.
    """
    if k < 1 or restarts < 1 or iterations < 1:
        raise ValueError(f"Expected k, restarts and iterations of at least 1, but got {k}, {restarts}, {iterations}.")
    given = np.asarray(tokens, dtype=np.float64)
    if given.ndim != 2 or not np.isfinite(given).all():
        raise ValueError(f"Expected `tokens` to be finite numbers [N, C], but got shape {given.shape}.")
    units = unit_rows(given[np.linalg.norm(given, axis=1) > 0])
    if len(units) < k:
        raise ValueError(_TOO_FEW.format(k=k, found=len(units)))
    generator = np.random.default_rng(seed)
    starts = (_lloyd(units, _plus_plus(units, k, generator), iterations) for _ in range(restarts))
    return min(starts, key=lambda start: start[1])[0]


def cluster_logits(codes: Array, centroids: NDArray[np.floating]) -> Array:
    """Cosine of every pixel's code to every centre: codes [C, h, w], centroids [k, C] -> float32 [k, h, w]."""
    if centroids.ndim != 2 or codes.ndim != 3 or codes.shape[0] != centroids.shape[1]:
        raise ValueError(
            f"Expected `centroids` to be [k, C] and `codes` [C, h, w] with the same C, but got {centroids.shape} and "
            f"{tuple(codes.shape)}."
        )
    pixels = torch.as_tensor(codes).float()
    centres = torch.from_numpy(unit_rows(np.asarray(centroids, dtype=np.float64))).to(pixels)
    cosine = torch.einsum("kc,chw->khw", centres, functional.normalize(pixels, dim=0))
    return cosine.numpy() if isinstance(codes, np.ndarray) else cosine


def unit_rows(rows: Float64) -> Float64:
    """Rows [N, C] divided by their lengths; a row without length stays zero."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(length > 0, length, 1)


def _plus_plus(tokens: Float64, k: int, generator: np.random.Generator) -> Float64:
    """Greedy k-means++: of 2 + ln k tokens drawn in proportion to their distance 1 − cosine to the nearest centre so
    far, the one that lowers the sum of distances most becomes the next centre: -> [k, C].

    Half the squared Euclidean distance of unit vectors is 1 − cosine, so this is the usual rule.
    """
    trials = 2 + int(np.log(k))
    chosen = [int(generator.integers(len(tokens)))]
    distance = _distances(tokens, tokens[chosen])[:, 0]
    while len(chosen) < k:
        cumulative = np.cumsum(distance)
        if cumulative[-1] == 0:
            raise ValueError(_TOO_FEW.format(k=k, found=len(chosen)))
        drawn = np.searchsorted(cumulative, generator.random(trials) * cumulative[-1], side="right")
        candidates = np.minimum(drawn, np.flatnonzero(distance)[-1])
        lowered = np.minimum(distance[:, None], _distances(tokens, tokens[candidates]))
        best = int(lowered.sum(axis=0).argmin())
        chosen.append(int(candidates[best]))
        distance = np.ascontiguousarray(lowered[:, best])
    return tokens[chosen]


def _distances(tokens: Float64, centres: Float64) -> Float64:
    """1 − cosine [N, k], exactly 0 for a centre's own duplicates so that they are never drawn again."""
    distance = np.maximum(1.0 - tokens @ centres.T, 0.0)
    distance[distance < 1e-12] = 0.0
    return distance


def _lloyd(tokens: Float64, centres: Float64, iterations: int) -> tuple[Float64, float]:
    """Rounds of assignment and averaging: centres [k, C] -> better centres [k, C], Σ (1 − cosine) to them."""
    owner, cosine = _assign(tokens, centres)
    for _ in range(iterations):
        owner = _fill_empty(owner, cosine, len(centres))
        centres = _means(tokens, owner, centres)
        before = owner
        owner, cosine = _assign(tokens, centres)
        if np.array_equal(owner, before):
            break
    return centres, float(np.sum(1.0 - cosine))


def _assign(tokens: Float64, centres: Float64) -> tuple[NDArray[np.int64], Float64]:
    """Nearest centre per token and the cosine to it: [N], [N]; ties go to the lowest index."""
    owner, cosine = np.empty(len(tokens), dtype=np.int64), np.empty(len(tokens))
    for start in range(0, len(tokens), _BLOCK):
        scores = tokens[start : start + _BLOCK] @ centres.T
        best = scores.argmax(axis=1)
        owner[start : start + _BLOCK] = best
        cosine[start : start + _BLOCK] = np.take_along_axis(scores, best[:, None], axis=1)[:, 0]
    return owner, cosine


def _means(tokens: Float64, owner: NDArray[np.int64], previous: Float64) -> Float64:
    """Unit-length mean of each cluster's tokens, added in the order of the tokens: [k, C]."""
    count = len(tokens)
    membership = sparse.csr_matrix((np.ones(count), (owner, np.arange(count))), shape=(len(previous), count))
    totals = np.asarray(membership @ tokens)
    length = np.linalg.norm(totals, axis=1, keepdims=True)
    return np.where(length > 1e-12, totals / np.where(length > 1e-12, length, 1), previous)


def _fill_empty(owner: NDArray[np.int64], cosine: Float64, k: int) -> NDArray[np.int64]:
    """Give every empty cluster the token farthest from its centre, taken from a cluster that has others."""
    size = np.bincount(owner, minlength=k)
    empty = np.flatnonzero(size == 0)
    if not len(empty):
        return owner
    owner = owner.copy()
    farthest = iter(np.argsort(cosine, kind="stable"))
    for cluster in empty:
        token = next(token for token in farthest if size[owner[token]] > 1)
        size[owner[token]] -= 1
        owner[token] = cluster
        size[cluster] = 1
    return owner
