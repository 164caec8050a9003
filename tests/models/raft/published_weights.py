"""Published names and shapes of SMURF's RAFT, tensors drawn from their names, and a network small enough for tests."""

from __future__ import annotations

import json

import torch

from mbps_dataset.models.raft import RaftConfig
from tests.models.published import kept_moderate, normal_named
from tests.vectors import vector_path


TINY = RaftConfig(
    encoder_widths=(4, 4, 6, 8),
    feature_dim=12,
    levels=2,
    radius=2,
    hidden_dim=8,
    context_dim=6,
    correlation_widths=(10, 8),
    flow_widths=(6, 4),
    motion_dim=9,
    flow_head_width=10,
    mask_width=12,
    updates=3,
    supervision="none: random",
)
"""A network of 18 000 parameters for images of at least 32 pixels a side."""


def published_shapes() -> dict[str, tuple[int, ...]]:
    """Name → shape of the 94 tensors of ``raft_smurf.pt``."""
    listed = json.loads(vector_path("cups/raft_smurf_manifest.json").read_text(encoding="utf-8"))
    return {name: tuple(shape) for name, shape in listed["state_dict"].items()}


def drawn_weights(seed: int) -> dict[str, torch.Tensor]:
    """Random tensors of the published names and shapes that depend on both and on `seed` only."""
    state = {}
    for name, shape in published_shapes().items():
        normal = normal_named(name, shape, seed)
        state[name] = torch.from_numpy(normal * 0.05 if name.endswith("bias") else kept_moderate(normal))
    return state
