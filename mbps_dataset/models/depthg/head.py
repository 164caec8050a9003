"""Head of STEGO and DepthG: patch features of a frozen ViT to codes.

    code = A f + D ReLU(C f)        A: D → C, C: D → D, D: D → C, all 1×1 convolutions with bias

Training drops whole channels (p = 0.1, kept ones scaled by 1 / 0.9) **three times independently**: before the linear branch,
before the other branch, and in the features that the correlation loss takes as signal. Evaluation drops nothing. Module
names are those of the published code.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


DROPPED = 0.1
"""Share of channels dropped in training."""


def feature_map(tokens: Tensor, grid_hw: tuple[int, int]) -> Tensor:
    """Tokens of a ViT's last layer [B, 1 + h w, D], the CLS token first → features [B, D, h, w]; the CLS token is dropped."""
    height, width = grid_hw
    if tokens.ndim != 3 or tokens.shape[1] != 1 + height * width:
        raise ValueError(
            f"Expected tokens [B, {1 + height * width}, D] of {height}x{width} patches, but got {tuple(tokens.shape)}."
        )
    return tokens[:, 1:].transpose(1, 2).unflatten(2, (height, width))


class DepthGHead(nn.Module):
    """Features [B, `feature_dim`, h, w] → codes [B, `code_dim`, h, w]. CUPS on Cityscapes: 768 and 100."""

    def __init__(self, *, feature_dim: int = 768, code_dim: int = 100) -> None:
        super().__init__()
        self.cluster1 = nn.Sequential(nn.Conv2d(feature_dim, code_dim, 1))
        self.cluster2 = nn.Sequential(
            nn.Conv2d(feature_dim, feature_dim, 1), nn.ReLU(), nn.Conv2d(feature_dim, code_dim, 1)
        )

    def forward(self, features: Tensor) -> Tensor:
        """Codes without dropout, as in evaluation."""
        return self.cluster1(features) + self.cluster2(features)

    def training_pass(self, features: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
        """(codes, features as signal) with channels dropped: `kept` [3, B, D] is 1 or 0 for linear, nonlinear, signal."""
        if kept.shape != (3, *features.shape[:2]):
            raise ValueError(f"Expected `kept` to be {(3, *features.shape[:2])}, but got {tuple(kept.shape)}.")
        linear, nonlinear, signal = (features * mask[..., None, None] / (1 - DROPPED) for mask in kept.to(features))
        return self.cluster1(linear) + self.cluster2(nonlinear), signal


def draw_kept_channels(features: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Random `kept` for `DepthGHead.training_pass`: float32 [3, B, D] of 1 (kept, with 1 − `DROPPED`) and 0."""
    chance = torch.full((3, *features.shape[:2]), 1 - DROPPED, device=features.device)
    return torch.bernoulli(chance, generator=generator)
