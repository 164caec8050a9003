"""Anchors: the boxes from which the proposal network starts, three in every cell of every level.

As detectron2 places them, with offset 0: the cell of column i and row j at stride s has its centre at (i s, j s), not half a
stride further. The square of size a gives widths √(a² / r) and heights r √(a² / r) for the ratios r = height / width.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


RATIOS = (0.5, 1.0, 2.0)
"""Heights over widths of the anchors of a cell, in their order."""


def cell_anchors(size: float, ratios: Sequence[float] = RATIOS) -> Tensor:
    """Anchors float32 [R, 4] around the origin of `size` pixels, one for each of R ratios."""
    ratio = torch.tensor(ratios, dtype=torch.float64)
    widths = (size * size / ratio).sqrt()
    half = torch.stack([widths, ratio * widths], dim=1) / 2
    return torch.cat([-half, half], dim=1).float()


def level_anchors(height: int, width: int, *, stride: int, size: float, device: torch.device | str = "cpu") -> Tensor:
    """Anchors float32 [height · width · R, 4] of a map, in the order row, column, ratio; in pixels of the image."""
    rows = torch.arange(height, dtype=torch.float32, device=device) * stride
    columns = torch.arange(width, dtype=torch.float32, device=device) * stride
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    centres = torch.stack([x, y, x, y], dim=-1).reshape(-1, 1, 4)
    return (centres + cell_anchors(size).to(device)).reshape(-1, 4)
