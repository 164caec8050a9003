"""Tensors under the published names: the small golden ones, their shapes, and random ones that any machine can redraw."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from mbps_dataset.models.spidepth import SPIdepthConfig
from tests.models.published import kept_moderate, normal_named, shapes_in


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


def shapes(name: str) -> dict[str, list[int]]:
    """Published tensor name → shape: "spidepth_encoder", "spidepth_decoder" or "atto_encoder"."""
    return shapes_in("spidepth_shapes.json", name)


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
    normal = normal_named(key, shape, seed)
    if last in ("bias", "running_mean"):
        return normal * np.float32(0.05)
    if last == "running_var":
        return 1 + np.float32(0.1) * np.abs(normal)
    if len(shape) == 1:
        return 1 + np.float32(0.1) * normal
    return kept_moderate(normal)
