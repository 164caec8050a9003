"""From flow in cells to flow in pixels: each pixel is a convex mean of the 3×3 cells around its own (Teed & Deng 2020, 3.3)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from mbps_dataset.models.raft.config import STRIDE
from mbps_dataset.models.raft.update import convolution_relu


MASK_SCALE = 0.25
"""What the published networks multiply the mask with, which balances gradients in training."""


class MaskPredictor(nn.Module):
    """State [B, S, h, w] → weights before the softmax [B, 9 · 8 · 8, h, w]."""

    def __init__(self, state: int, width: int) -> None:
        super().__init__()
        self.convrelu = convolution_relu(state, width, 3)
        self.conv = nn.Conv2d(width, 9 * STRIDE**2, 1)

    def forward(self, state: Tensor) -> Tensor:
        return MASK_SCALE * self.conv(self.convrelu(state))


def convex_upsampling(flow: Tensor, mask: Tensor, *, factor: int = STRIDE) -> Tensor:
    """Flow in cells [B, 2, h, w] → flow in pixels [B, 2, `factor` h, `factor` w].

    `mask` [B, 9 · factor², h, w]: channels are the 3×3 neighbours row by row, then rows and columns within the cell; a softmax
    over the neighbours makes them weights. Cells outside the map count as zero flow, as published.
    """
    batch, channels, height, width = flow.shape
    if mask.shape != (batch, 9 * factor**2, height, width):
        raise ValueError(
            f"Expected `mask` to be {(batch, 9 * factor**2, height, width)} for a flow of {tuple(flow.shape)}, but got "
            f"{tuple(mask.shape)}."
        )
    weights = mask.view(batch, 1, 9, factor, factor, height, width).softmax(dim=2)
    neighbours = functional.unfold(factor * flow, kernel_size=3, padding=1).view(
        batch, channels, 9, 1, 1, height, width
    )
    pixels = (weights * neighbours).sum(dim=2)  # [B, 2, rows in cell, columns in cell, h, w]
    return pixels.permute(0, 1, 4, 2, 5, 3).reshape(batch, channels, factor * height, factor * width)
