"""What the tests of CAUSE share: golden files, weights drawn from their own names, and a tiny network.

The golden numbers were made with weights drawn by `published.normal_named`, so that a network of full size needs no
file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from mbps_dataset.models.cause.segmenter import CauseConfig, CauseSegmenter
from tests.models.published import kept_moderate, normal_named, shapes_in


TINY = CauseConfig(
    hidden_size=24,
    layers=2,
    heads=3,
    position_grid=7,
    crop=70,
    code_dim=10,
    projection_dim=16,
    codebook_size=20,
    feed_forward_dim=32,
    clusters=6,
)

_AS_DRAWN = ("query_pos", "codebook", "cluster_probe", "cls_token", "pos_embed", "mask_token")


def published_shapes(part: str) -> dict[str, list[int]]:
    """Names and shapes of a published file: "backbone", "segment" or "cluster"."""
    return shapes_in("cause_shapes.json", part)


def noise(seed: int, shape: Sequence[int], scale: float = 1.0) -> torch.Tensor:
    """Seeded normal numbers, float32."""
    return torch.from_numpy((np.random.RandomState(seed).standard_normal(shape) * scale).astype(np.float32))


def drawn(key: str, shape: Sequence[int], seed: int) -> torch.Tensor:
    """The tensor that the golden numbers were made with, for a published name."""
    normal = normal_named(key, shape, seed)
    last = key.rsplit(".", 1)[-1]
    if last in _AS_DRAWN:
        return torch.from_numpy(normal)
    if last in ("in_proj_bias", "bias"):
        return torch.from_numpy(normal * np.float32(0.05))
    if last == "gamma" or len(shape) == 1:
        return torch.from_numpy(1 + np.float32(0.1) * normal)
    return torch.from_numpy(kept_moderate(normal))


def drawn_state(shapes: Mapping[str, Sequence[int]], seed: int) -> dict[str, torch.Tensor]:
    """A state dict of drawn tensors."""
    return {key: drawn(key, shape, seed) for key, shape in shapes.items()}


def tiny_network(config: CauseConfig = TINY, seed: int = 0) -> CauseSegmenter:
    """A small network with drawn weights, teacher and student apart, in eval mode."""
    network = CauseSegmenter(config).eval()
    state = network.checkpoint_state()
    network.load_checkpoint_state({key: drawn(key, tuple(t.shape), seed) for key, t in state.items()})
    return network


def published_files(folder: Path, network: CauseSegmenter) -> dict[str, Path]:
    """Write a network's tensors as the four published files and return their paths by part."""
    paths = {part: folder / f"{part}.pth" for part in ("backbone", "segment", "cluster")}
    torch.save(network.backbone.reference_state(), paths["backbone"])
    torch.save(network.segment.reference_state(), paths["segment"])
    probe = network.probe.cluster_probe.detach()
    torch.save({"codebook": torch.zeros_like(network.codebook), "cluster_probe": probe}, paths["cluster"])
    paths["codebook"] = folder / "modular.npy"
    np.save(paths["codebook"], network.codebook.numpy())
    return paths
