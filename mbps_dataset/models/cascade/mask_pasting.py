"""Masks of 28 × 28 cells within their boxes as pixels of an image, by two small matrices per box.

A pixel's centre lies at t = (x + ½ − x0) / (x1 − x0) of the box; the value there is bilinear between cells, 0 beyond them, and 0.5 is
the least that counts. Bilinear weights are a product of one factor per axis, so a mask is W_y M W_xᵀ, and only the pixels around the
box are looked at.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mbps_dataset.stages.instances.types import Instances


THRESHOLD = 0.5


def paste_masks(
    probabilities: Tensor, boxes: Tensor, size: tuple[int, int], *, class_ids: Tensor, scores: Tensor
) -> Instances:
    """Instances in an image of `size` (height, width) from `probabilities` [N, m, m] within `boxes` [N, 4].

    `class_ids` int64 [N] and `scores` [N] are taken along; an instance may have no pixel.
    """
    pixels = [_pixels(mask, box, size) for mask, box in zip(probabilities, boxes.tolist())]
    return Instances.from_pixels(size, pixels, class_ids.cpu().numpy(), scores.double().cpu().numpy())


def _pixels(mask: Tensor, box: list[float], size: tuple[int, int]) -> NDArray[np.int64]:
    """Flat indices of the pixels of one mask."""
    (height, width), side = size, mask.shape[-1]
    x0, y0, x1, y1 = box
    # half a cell of the mask reaches beyond the box
    reach_x, reach_y = (x1 - x0) / side + 1, (y1 - y0) / side + 1
    left, right = _within(x0 - reach_x, width), _within(x1 + reach_x, width)
    top, bottom = _within(y0 - reach_y, height), _within(y1 + reach_y, height)
    if left >= right or top >= bottom:
        return np.zeros(0, dtype=np.int64)
    corners = mask.new_tensor([box], dtype=torch.float32)
    rows = _weights(corners[:, 1], corners[:, 3], top, bottom, side)[0]
    columns = _weights(corners[:, 0], corners[:, 2], left, right, side)[0]
    y, x = np.nonzero((rows @ mask.float() @ columns.mT >= THRESHOLD).cpu().numpy())
    return (y + top) * width + x + left


def _within(place: float, length: int) -> int:
    return int(min(max(place, 0), length))


def _weights(starts: Tensor, ends: Tensor, begin: int, end: int, side: int) -> Tensor:
    """Share of each of `side` cells in the pixels `begin` to `end` of an axis: [N, end - begin, side]."""
    centres = torch.arange(begin, end, dtype=torch.float32, device=starts.device) + 0.5
    places = (centres - starts[:, None]) / (ends - starts)[:, None] * side - 0.5
    cells = torch.arange(side, dtype=torch.float32, device=starts.device)
    # a box without width divides by zero: infinitely far from every cell, or NaN, which is no place either
    return (1 - (places[..., None] - cells).abs()).clamp(min=0).nan_to_num(nan=0.0)
