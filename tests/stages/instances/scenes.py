"""Class and depth maps for the tests and benchmarks of the instance stages: boxes on a street, plain or fragmented."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


STUFF = (0, 1, 2, 8, 10)
THINGS = tuple(range(11, 19))
VOID = 255


def street(
    seed: int, height: int = 512, width: int = 1024, objects: int = 40
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Road, walls, sky, and `objects` boxes of the thing classes, nearer ones over farther ones."""
    random = np.random.default_rng(seed)
    rows = np.arange(height)[:, None] / height
    depth = np.broadcast_to(np.clip(1.6 - 1.6 * rows, 0.0, 1.0), (height, width)).copy()
    semantic = np.full((height, width), 2, dtype=np.uint8)
    semantic[: height // 5] = 10
    semantic[height // 2 :] = 0
    semantic[height // 2 :, : width // 6] = 1
    semantic[height // 5 : height // 2, : width // 4] = 8
    for distance in np.sort(random.uniform(0.05, 0.8, objects))[::-1]:
        size = height * random.uniform(0.05, 0.12) / (distance + 0.1)
        tall, wide = int(max(size, 3)), int(max(size * random.uniform(0.4, 2.0), 3))
        foot, left = int(height * (1.02 - 0.55 * distance)), int(random.integers(-wide // 2, width))
        box = slice(max(foot - tall, 0), foot), slice(max(left, 0), left + wide)
        semantic[box] = random.choice(THINGS)
        depth[box] = distance
    semantic[-height // 25 :] = VOID
    noise = ndimage.gaussian_filter(random.standard_normal((height, width)), 2.0)
    return semantic, np.clip(depth + 0.002 * noise, 0.0, 1.0).astype(np.float32)


def fragmented_street(
    seed: int, height: int = 512, width: int = 1024, cell: int = 20
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """A street whose things fall apart: depth and class jump from cell to cell over most of the picture."""
    random = np.random.default_rng(seed)
    semantic, depth = street(seed, height, width)
    cells = -(-height // cell), -(-width // cell)
    classes = random.choice((*THINGS, 13, 13, 13, 11, 11), size=cells).astype(np.uint8)
    jumps = random.uniform(0.0, 1.0, size=cells).astype(np.float32)
    fill = np.kron(classes, np.ones((cell, cell), np.uint8))[:height, :width]
    depth = 0.5 * depth + 0.5 * np.kron(jumps, np.ones((cell, cell), np.float32))[:height, :width]
    covered = random.random((height, width)) > 0.002
    covered[: height // 8] = False
    semantic = np.where(covered & (semantic != VOID), fill, semantic)
    return semantic, depth.astype(np.float32)
