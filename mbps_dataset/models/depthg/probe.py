"""Cluster probe of STEGO and DepthG: codes to pseudo-class scores by cosine similarity to learned centres.

As `mbps_dataset.models.cause.probe` without its square windows, and with the factor 2 that CUPS takes. It learns from
detached codes: a hard term, −mean of the largest cosine, or a soft one, −mean of Σ_k softmax(factor · cosine)_k · cosine_k.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


FACTOR = 2.0
"""What cosines are multiplied with before the softmax when CUPS labels images."""


class DepthGProbe(nn.Module):
    """`clusters` K centres of `code_dim` C numbers, standard normal at the start. CUPS on Cityscapes: 27 and 100."""

    def __init__(self, *, clusters: int = 27, code_dim: int = 100) -> None:
        super().__init__()
        self.clusters = nn.Parameter(torch.randn(clusters, code_dim))

    def cosine(self, codes: Tensor) -> Tensor:
        """Cosine of every code to every centre: [B, C, H, W] → [B, K, H, W] in [-1, 1]."""
        centres = functional.normalize(self.clusters, dim=1)
        return torch.einsum("kc,bchw->bkhw", centres, functional.normalize(codes, dim=1))

    def log_probs(self, codes: Tensor, factor: float = FACTOR) -> Tensor:
        """log_softmax over clusters of factor · cosine: [B, C, H, W] → [B, K, H, W]."""
        return functional.log_softmax(factor * self.cosine(codes), dim=1)

    def assign(self, codes: Tensor) -> Tensor:
        """Most similar cluster: [B, C, H, W] → int64 [B, H, W]."""
        return self.cosine(codes).argmax(dim=1)

    def loss(self, codes: Tensor, *, factor: float | None = None) -> Tensor:
        """Training term, scalar: the hard one, or with `factor` the soft one. Gradients reach the centres only."""
        cosine = self.cosine(codes.detach())
        if factor is None:
            return -cosine.amax(dim=1).mean()
        return -(torch.softmax(factor * cosine, dim=1) * cosine).sum(dim=1).mean()
