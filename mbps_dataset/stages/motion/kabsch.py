"""Rigid transforms from point pairs in closed form (Kabsch, Acta Cryst. A32, 1976; as in SF2SE3).

With means m0, m1 over the members of a cluster and C = Σ (P1 − m1)(P0 − m0)ᵀ = U S Vᵀ:

    R = U · diag(1, 1, det U · det V) · Vᵀ,    t = m1 − R · m0

The middle factor keeps R a rotation where the best orthogonal matrix is a reflection. Two members, or members in a line, leave
a rotation about that line undetermined; what comes out then is a choice of the linear algebra library.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def align_rigidly(points_t: ArrayLike, points_t1: ArrayLike, members: ArrayLike) -> NDArray[np.float32]:
    """The transform that takes `points_t` nearest to `points_t1` in squared distance, for each cluster, float32 [K, 4, 4].

    `points_t`, `points_t1` [N, 3] in metres; `members` [K, N], bool or weights of at least 0. Computed in float32, as the
    reference does. A cluster without members gives the identity.
    """
    first, second = (np.asarray(points, dtype=np.float32) for points in (points_t, points_t1))
    weights = np.asarray(members).astype(np.float32)
    total = np.maximum(weights.sum(axis=1, keepdims=True), np.finfo(np.float32).tiny)
    mean_t, mean_t1 = weights @ first / total, weights @ second / total
    products = np.zeros((len(weights), 3, 3), dtype=np.float32)
    for k, weight in enumerate(weights):
        held = np.flatnonzero(weight)
        centred_t1 = (second[held] - mean_t1[k]) * weight[held, None]
        products[k] = centred_t1.T @ (first[held] - mean_t[k])
    left, _, right = np.linalg.svd(products)
    left[..., :, 2] *= (np.linalg.det(left) * np.linalg.det(right))[:, None]
    transforms = np.tile(np.eye(4, dtype=np.float32), (len(weights), 1, 1))
    transforms[:, :3, :3] = left @ right
    transforms[:, :3, 3] = mean_t1 - np.einsum("kij,kj->ki", transforms[:, :3, :3], mean_t)
    return transforms
