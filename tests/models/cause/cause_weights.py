"""What the tests of CAUSE share: golden files, weights drawn from their own names, and a tiny network.

The golden numbers were made with weights that depend only on a tensor's published name, its shape and a seed, so that
a network of full size needs no file.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from mbps_dataset.models.cause.segmenter import CauseConfig, CauseSegmenter
from tests.vectors import load_vectors


DATA = Path(__file__).parents[2] / "data"

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


def golden(name: str) -> dict[str, NDArray]:
    """Arrays of a file of golden numbers."""
    return load_vectors(name)


def tensors(arrays: Mapping[str, NDArray], prefix: str = "w/") -> dict[str, torch.Tensor]:
    """The arrays behind a prefix as a state dict."""
    return {name.removeprefix(prefix): torch.from_numpy(a) for name, a in arrays.items() if name.startswith(prefix)}


def published_shapes(part: str) -> dict[str, list[int]]:
    """Names and shapes of a published file: "backbone", "segment" or "cluster"."""
    return json.loads((DATA / "cause_shapes.json").read_text(encoding="utf-8"))[part]


def noise(seed: int, shape: Sequence[int], scale: float = 1.0) -> torch.Tensor:
    """Seeded normal numbers, float32."""
    return torch.from_numpy((np.random.RandomState(seed).standard_normal(shape) * scale).astype(np.float32))


def drawn(key: str, shape: Sequence[int], seed: int) -> torch.Tensor:
    """The tensor that the golden numbers were made with, for a published name."""
    normal = np.random.RandomState(zlib.crc32(key.encode()) ^ seed).standard_normal(tuple(shape)).astype(np.float32)
    last = key.rsplit(".", 1)[-1]
    if last in _AS_DRAWN:
        return torch.from_numpy(normal)
    if last in ("in_proj_bias", "bias"):
        return torch.from_numpy(normal * np.float32(0.05))
    if last == "gamma" or len(shape) == 1:
        return torch.from_numpy(1 + np.float32(0.1) * normal)
    return torch.from_numpy(normal * np.float32(1 / np.sqrt(np.prod(shape[1:]))))


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
