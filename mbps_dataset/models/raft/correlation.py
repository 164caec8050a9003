"""All-pairs correlation of two feature maps, as a pyramid that is read around positions (Teed & Deng 2020, 3.2).

    C(i, j) = <a_i, b_j> / √channels;  level l is the mean of C over 2^l × 2^l cells j

At each level the window of (2r + 1)² values around position / 2^l is read bilinearly, 0 outside the map. The two published
layouts differ in the order of a window's channels only (found by running both): SMURF goes row by row, channel
(2r + 1)(dy + r) + dx + r, torchvision column by column, (2r + 1)(dx + r) + dy + r. Levels follow each other, finest first.

The whole volume is kept, (H/8 · W/8)² numbers: 0.9 GB with its pyramid for 640×1280 in single precision.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from mbps_dataset.models.raft.config import LOOKUP_ORDERS


class CorrelationPyramid:
    """Correlations of `first` with `second`, both [B, C, h, w], at `levels` scales."""

    def __init__(self, first: Tensor, second: Tensor, *, levels: int = 4) -> None:
        if first.shape != second.shape or first.ndim != 4:
            raise ValueError(
                f"Expected two feature maps of one shape [B, C, h, w], but got {tuple(first.shape)} and "
                f"{tuple(second.shape)}."
            )
        batch, channels, height, width = first.shape
        if min(height, width) < 2**levels:
            raise ValueError(
                f"Expected a feature map of at least {2**levels} cells a side for {levels} levels, but got "
                f"{height}x{width}; enlarge or pad the images."
            )
        volume = torch.einsum("bci,bcj->bij", first.flatten(2), second.flatten(2)) / channels**0.5
        level = volume.reshape(batch * height * width, 1, height, width)
        self.levels = [level]
        for _ in range(levels - 1):
            level = functional.avg_pool2d(level, 2)
            self.levels.append(level)

    def look_up(self, positions: Tensor, *, radius: int = 4, order: str = "row-major") -> Tensor:
        """Correlations around `positions` [B, 2, h, w] (x, y in cells of the second map) → [B, levels (2r + 1)², h, w]."""
        batch, _, height, width = positions.shape
        centres = positions.permute(0, 2, 3, 1).reshape(-1, 1, 1, 2)
        offsets = window_offsets(radius, order).to(positions)
        read = []
        for level, values in enumerate(self.levels):
            size = values.new_tensor([values.shape[-1] - 1, values.shape[-2] - 1])
            grid = 2 * (centres / 2**level + offsets) / size - 1
            window = functional.grid_sample(values, grid, mode="bilinear", padding_mode="zeros", align_corners=True)
            read.append(window.reshape(batch, height, width, -1))
        return torch.cat(read, dim=-1).permute(0, 3, 1, 2).contiguous()


def window_offsets(radius: int, order: str) -> Tensor:
    """(dx, dy) of a window's channels in their order: float32 [2r + 1, 2r + 1, 2].

    >>> window_offsets(1, "row-major").reshape(-1, 2)[:4].tolist()
    [[-1.0, -1.0], [0.0, -1.0], [1.0, -1.0], [-1.0, 0.0]]
    """
    if order not in LOOKUP_ORDERS:
        raise ValueError(f"Expected `order` to be {' or '.join(LOOKUP_ORDERS)}, but got {order!r}.")
    steps = torch.arange(-radius, radius + 1, dtype=torch.float32)
    slow, fast = torch.meshgrid(steps, steps, indexing="ij")
    return torch.stack((fast, slow) if order == "row-major" else (slow, fast), dim=-1)
