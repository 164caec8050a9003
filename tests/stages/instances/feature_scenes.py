"""Patch features of a made-up picture: a background and objects with directions of their own, plus noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


OBJECTS = ((5, 12, 4, 12), (15, 25, 16, 26), (3, 9, 20, 27))
"""Top, bottom, left, right of the objects on a 30 × 30 grid."""


def feature_scene(
    seed: int, noise: float = 0.4, channels: int = 16, scale: int = 1
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Object number per patch [30 · scale, 30 · scale] (0 = background) and features [.., .., channels]."""
    random = np.random.default_rng(seed)
    numbers = np.zeros((30, 30), dtype=np.int64)
    for number, (top, bottom, left, right) in enumerate(OBJECTS, start=1):
        numbers[top:bottom, left:right] = number
    numbers = np.kron(numbers, np.ones((scale, scale), dtype=np.int64))
    # Orthogonal directions, so that no two regions are alike by accident.
    directions = np.linalg.qr(random.standard_normal((channels, channels)))[0][: len(OBJECTS) + 1] * 4
    return numbers, directions[numbers] + noise * random.standard_normal((*numbers.shape, channels))


def semantic_of(numbers: NDArray[np.int64], pixels: int = 8) -> NDArray[np.uint8]:
    """Class map of the picture: object k is class 12 + k, the rest road; `pixels` per patch and side."""
    return np.kron(np.where(numbers > 0, 12 + numbers, 0), np.ones((pixels, pixels), int)).astype(np.uint8)
