"""Tensors under the published names: the small golden ones, their shapes, and random ones that any machine can redraw."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from mbps_dataset.models.spidepth import SPIdepthConfig
from tests.vectors import load_vectors


DATA = Path(__file__).parents[2] / "data"

TINY = SPIdepthConfig(
    encoder_channels=(8, 16, 24, 32),
    encoder_depths=(1, 1, 2, 1),
    decoder_channels=(32, 24, 16, 16),
    model_dim=16,
    embedding_dim=16,
    patch_size=8,
    queries=8,
    bins=12,
    feedforward=64,
    positions=64,
    supervision="none: random weights",
)
"""A network of 178 000 parameters for images of 64×128."""


def golden(name: str) -> dict[str, np.ndarray]:
    """Arrays of one file of golden numbers."""
    return load_vectors(name)


def golden_weights(arrays: Mapping[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """The `w/…` arrays of a golden file, as a state dict."""
    return {key[2:]: torch.from_numpy(value) for key, value in arrays.items() if key.startswith("w/")}


def shapes(name: str) -> dict[str, list[int]]:
    """Published tensor name → shape: "spidepth_encoder", "spidepth_decoder" or "atto_encoder"."""
    return json.loads((DATA / "spidepth_shapes.json").read_text())[name]


def meta_weights(name: str) -> dict[str, torch.Tensor]:
    """Tensors without memory, of the published names and shapes."""
    dtypes = {True: torch.int64, False: torch.float32}
    return {
        key: torch.empty(shape, device="meta", dtype=dtypes[key.endswith("tracked")])
        for key, shape in shapes(name).items()
    }


def drawn_weights(name: str, seed: int) -> dict[str, torch.Tensor]:
    """Random tensors that depend only on their names and `seed`, scaled so that activations stay moderate."""
    return {key: torch.from_numpy(np.asarray(_draw(key, shape, seed))) for key, shape in shapes(name).items()}


def _draw(key: str, shape: Sequence[int], seed: int) -> np.ndarray:
    last = key.rsplit(".", 1)[-1]
    if last == "num_batches_tracked":
        return np.zeros(shape, dtype=np.int64)
    generator = np.random.RandomState(zlib.crc32(key.encode()) ^ seed)
    normal = generator.standard_normal(shape).astype(np.float32)
    if last in ("bias", "running_mean"):
        return normal * np.float32(0.05)
    if last == "running_var":
        return 1 + np.float32(0.1) * np.abs(normal)
    if len(shape) == 1:
        return 1 + np.float32(0.1) * normal
    return normal * np.float32(1 / np.sqrt(np.prod(shape[1:])))
