"""Cluster probe of CAUSE: codes to pseudo-class scores by cosine similarity to learned centres.

Follows the published code: no bias; scores for the CRF are log_softmax(alpha · cosine); the codebook that the
published ``cluster_tr`` file also holds plays no role in the scores (the report's "2048 entries grouped into 27 by a
learned projection" is not what the code does) and is overwritten by the separate codebook file.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import nn
from torch.nn import functional

from mbps_dataset.models.checkpoints import require_match


class ClusterProbe(nn.Module):
    """`clusters` K centres in code space of `code_dim` C channels; they start uniform in ±1/K, as published."""

    def __init__(self, *, clusters: int = 27, code_dim: int = 90) -> None:
        super().__init__()
        self.cluster_probe = nn.Parameter(torch.empty(clusters, code_dim).uniform_(-1.0 / clusters, 1.0 / clusters))

    @classmethod
    def from_reference(cls, state: Mapping[str, torch.Tensor], *, source: str = "cluster_tr") -> ClusterProbe:
        """Build from a published ``cluster_tr`` state dict; its `codebook`, if any, is ignored. In eval mode.

        Raises `WeightsError` if `cluster_probe` is missing or is not a matrix, or if there are other tensors.
        """
        found = state["cluster_probe"].shape if "cluster_probe" in state else torch.Size((27, 90))
        shape = tuple(found) if len(found) == 2 else (27, 90)
        probe_state = {name: tensor for name, tensor in state.items() if name != "codebook"}
        require_match(probe_state, {"cluster_probe": shape}, source=source, network="ClusterProbe")
        probe = cls(clusters=shape[0], code_dim=shape[1])
        probe.load_state_dict({"cluster_probe": state["cluster_probe"].float()})
        return probe.eval()

    def cosine(self, codes: torch.Tensor) -> torch.Tensor:
        """Cosine of every code to every centre: codes [..., C] -> [..., K], in [-1, 1]."""
        return functional.normalize(codes, dim=-1) @ functional.normalize(self.cluster_probe, dim=-1).T

    def log_probs(self, codes: torch.Tensor, alpha: float = 3.0) -> torch.Tensor:
        """log_softmax over clusters of alpha · cosine: codes [B, P, C] -> [B, K, h, w] with h = w = √P."""
        return functional.log_softmax(alpha * _square(self.cosine(codes)), dim=1)

    def assign(self, codes: torch.Tensor) -> torch.Tensor:
        """Most similar cluster: codes [B, P, C] -> int64 [B, h, w] with h = w = √P."""
        return _square(self.cosine(codes)).argmax(dim=1)

    def loss(self, codes: torch.Tensor) -> torch.Tensor:
        """−mean over tokens of the largest cosine: the hard-assignment loss of the published class. Scalar."""
        return -self.cosine(codes).max(dim=-1).values.mean()


def _square(scores: torch.Tensor) -> torch.Tensor:
    """[B, P, K] -> [B, K, h, w]; tokens are row by row, and windows are square."""
    side = math.isqrt(scores.shape[1])
    if side * side != scores.shape[1]:
        raise ValueError(f"Expected a square number of tokens per window, but got {scores.shape[1]}.")
    return scores.transpose(1, 2).unflatten(2, (side, side))
