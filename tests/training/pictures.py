"""A few small pictures with structure: sky over ground, a box somewhere, noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def street_like_pictures(count: int = 6, height: int = 60, width: int = 100, seed: int = 0) -> list[NDArray[np.uint8]]:
    """`count` pictures, uint8 [height, width, 3]."""
    generator = np.random.default_rng(seed)
    pictures = []
    for _ in range(count):
        picture = np.empty((height, width, 3))
        picture[: height // 2], picture[height // 2 :] = (150, 190, 230), (90, 90, 95)
        top, left = generator.integers(height // 4, height // 2), generator.integers(0, width // 2)
        picture[top : top + height // 4, left : left + width // 3] = generator.integers(0, 255, 3)
        pictures.append(np.clip(picture + generator.normal(0, 6, picture.shape), 0, 255).astype(np.uint8))
    return pictures
