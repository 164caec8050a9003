"""What tests of published networks share: shapes of the published files, and tensors drawn from their own names."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray


DATA = Path(__file__).parents[1] / "data"


def tensors(arrays: Mapping[str, NDArray], prefix: str = "w/") -> dict[str, torch.Tensor]:
    """The arrays behind a prefix of a golden file as a state dict."""
    return {name.removeprefix(prefix): torch.from_numpy(a) for name, a in arrays.items() if name.startswith(prefix)}


def shapes_in(file: str, part: str) -> dict[str, list[int]]:
    """Names and shapes of one published file, from a list in ``tests/data``."""
    return json.loads((DATA / file).read_text(encoding="utf-8"))[part]


def normal_named(key: str, shape: Sequence[int], seed: int) -> NDArray[np.float32]:
    """Normal numbers that depend only on a tensor's published name, its shape and a seed: any machine can redraw them."""
    return np.random.RandomState(zlib.crc32(key.encode()) ^ seed).standard_normal(tuple(shape)).astype(np.float32)


def kept_moderate(normal: NDArray[np.float32]) -> NDArray[np.float32]:
    """Weights whose layer neither shrinks nor swells what passes: divided by the root of the number of inputs."""
    return normal * np.float32(1 / np.sqrt(np.prod(normal.shape[1:])))
