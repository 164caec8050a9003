"""Reads the golden numbers of the instance stages."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tests.vectors import load_vectors


THINGS_BY_NAME = {"gtsplit": tuple(range(11, 19)), "attnsplit": (3, 11, 13, 14, 15, 18)}


@lru_cache(maxsize=3)
def load(name: str) -> dict[str, NDArray]:
    """All arrays of a file of golden numbers, read once."""
    return load_vectors(name)


def unpack(packed: NDArray[np.uint8], height: int, width: int) -> NDArray[np.bool_]:
    """Masks [N, H, W] from their packed rows."""
    return np.unpackbits(packed, axis=1, count=height * width).reshape(-1, height, width).astype(bool)
