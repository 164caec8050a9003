"""RoIAlign in plain torch: two small averaging matrices per box, exact and differentiable.

RoIAlign (He et al., ICCV 2017; aligned and with adaptive sampling, as in detectron2) averages bilinear samples on a regular
grid in every bin. Both the interpolation and the mean are products of one factor per axis, so what a box gives is

    out = W_y F W_xᵀ

with W_y [P, H] and W_x [P, W] that hold the mean weight of each row and column in each of P bins. They are zero outside the box,
so only the window of the map under the box is read. Boxes with windows of about one size are handled together.

* A coordinate is x · scale − ½; a bin of the axis has ceil(length / P) samples, those of a box without length none and it gives 0.
* A sample counts 0 if it lies outside [−1, L], both ends allowed, and is otherwise moved into [0, L − 1].
* A box that is not finite gives 0, too; it is dropped later.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor


_MOST_NUMBERS = 2**23
"""Numbers of windows that are read at once, 32 MB as float32."""
_SMALLEST_WINDOW = 4

LEVELS = (2, 3, 4, 5)
"""Levels of the pyramid that boxes are pooled from; the stride of level l is 2ˡ."""


def level_of_boxes(boxes: Tensor) -> Tensor:
    """Level int64 [N] of the pyramid for `boxes` [N, 4]: ⌊4 + log₂(√area / 224 + 10⁻⁸)⌋ within 2 to 5 (Lin et al., CVPR 2017)."""
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    levels = torch.floor(4 + torch.log2(areas.clamp(min=0).sqrt() / 224 + 1e-8))
    return levels.nan_to_num(nan=LEVELS[0]).clamp(LEVELS[0], LEVELS[-1]).long()


def pool_boxes(features: Sequence[Tensor], boxes: Tensor, images: Tensor, size: int) -> Tensor:
    """What lies under each box, from the level of its size: [N, C, size, size].

    `features` of levels 2 to 5, each [B, C, H, W]; `boxes` [N, 4] in pixels of the image; `images` int64 [N], the image of each.
    """
    levels = level_of_boxes(boxes)
    pooled = features[0].new_zeros(len(boxes), features[0].shape[1], size, size)
    for level, feature in zip(LEVELS, features):
        chosen = (levels == level).nonzero()[:, 0]
        if len(chosen):
            found = roi_align(feature, boxes[chosen], images[chosen], size=(size, size), scale=2.0**-level)
            pooled = pooled.index_copy(0, chosen, found)
    return pooled


def roi_align(features: Tensor, boxes: Tensor, images: Tensor, *, size: tuple[int, int], scale: float) -> Tensor:
    """Means over the bins of each box: [N, C, *size].

    `features` [B, C, H, W]; `boxes` float32 [N, 4] in pixels of the image; `images` int64 [N]; `size` (rows, columns) of bins;
    `scale` cells of the map per pixel. Gradients run to `features`, not to `boxes`. Maps of half precision are averaged, and their
    gradients summed, in single precision.
    """
    with torch.autocast(features.device.type, enabled=False):
        return _RoIAlign.apply(features, boxes.detach(), images, size, scale)


def averaging_weights(starts: Tensor, ends: Tensor, *, length: int, bins: int, first: Tensor, window: int) -> Tensor:
    """Mean weight of each cell in each bin of one axis: [N, bins, window].

    `starts`, `ends` float32 [N] in cells, where the centre of cell i is i; `length` cells of the axis; `first` int64 [N], the
    cell at which the window of `window` cells begins.
    """
    sizes = (ends - starts) / bins
    counts = sizes.ceil().clamp(min=0)
    most = max(int(counts.max()), 1) if len(counts) else 1
    sample = torch.arange(most, dtype=starts.dtype, device=starts.device)
    bin_starts = starts[:, None] + torch.arange(bins, dtype=starts.dtype, device=starts.device) * sizes[:, None]
    steps = (sample + 0.5) * (sizes / counts.clamp(min=1))[:, None]
    positions = bin_starts[:, :, None] + steps[:, None]
    counted = (sample < counts[:, None])[:, None] & (positions >= -1) & (positions <= length)
    cells = first[:, None] + torch.arange(window, device=starts.device)
    positions = positions.clamp(0, length - 1)
    # the hat function: what bilinear interpolation gives a cell at this distance
    hats = (1 - (positions[..., None] - cells[:, None, None]).abs()).clamp(min=0) * counted[..., None]
    hats = hats * (cells < length)[:, None, None]
    return hats.sum(dim=2) / counts.clamp(min=1)[:, None, None]


class _RoIAlign(torch.autograd.Function):
    """The forward pass keeps no window; the backward pass adds each box's gradient into one map."""

    @staticmethod
    def forward(
        ctx: Any, features: Tensor, boxes: Tensor, images: Tensor, size: tuple[int, int], scale: float
    ) -> Tensor:
        count, channels, height, width = features.shape
        ctx.shape, ctx.size, ctx.scale = features.shape, size, scale
        ctx.save_for_backward(boxes, images)
        cells = features.permute(0, 2, 3, 1).reshape(-1, channels)
        pooled = features.new_zeros(len(boxes), *size, channels)
        for chosen, rows, columns, index in _windows(boxes, images, (height, width), channels, size, scale):
            under = _at_least_single(cells.index_select(0, index.flatten()).view(len(chosen), index.shape[1], -1))
            by_row = (rows.to(under.dtype) @ under).view(len(chosen), size[0], index.shape[2], channels)
            pooled[chosen] = (columns.to(under.dtype)[:, None] @ by_row).to(pooled.dtype)
        return pooled.permute(0, 3, 1, 2).contiguous()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None, None]:
        boxes, images = ctx.saved_tensors
        count, channels, height, width = ctx.shape
        size, scale = ctx.size, ctx.scale
        gradient = _at_least_single(gradients[0].permute(0, 2, 3, 1))
        cells = gradient.new_zeros(count * height * width, channels)
        with torch.autocast(gradient.device.type, enabled=False):
            for chosen, rows, columns, index in _windows(boxes, images, (height, width), channels, size, scale):
                by_row = columns.to(gradient.dtype).mT[:, None] @ gradient[chosen]
                under = rows.to(gradient.dtype).mT @ by_row.flatten(2)
                cells.index_add_(0, index.flatten(), under.view(-1, channels))
        of_maps = cells.view(count, height, width, channels).permute(0, 3, 1, 2).to(gradients[0].dtype)
        return of_maps, None, None, None, None


def _at_least_single(values: Tensor) -> Tensor:
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _windows(
    boxes: Tensor, images: Tensor, shape: tuple[int, int], channels: int, size: tuple[int, int], scale: float
) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Boxes whose windows have about one size, together: their indices [n], weights of rows [n, P, h] and columns [n, P, w],
    and the cell of every place in their windows, int64 [n, h, w]."""
    scaled = (boxes * scale - 0.5).float()
    scaled = torch.where(torch.isfinite(scaled).all(dim=1, keepdim=True), scaled, torch.zeros_like(scaled))
    firsts, sizes = zip(*(_extent(scaled[:, axis], scaled[:, axis + 2], shape[1 - axis]) for axis in (0, 1)))
    kinds = sizes[1] * (2 * max(shape) + 2 * _SMALLEST_WINDOW) + sizes[0]
    order = torch.argsort(kinds, stable=True)
    values, counts = torch.unique_consecutive(kinds[order], return_counts=True)
    base = 2 * max(shape) + 2 * _SMALLEST_WINDOW
    at = 0
    for kind, count in zip(values.tolist(), counts.tolist()):
        height, width = divmod(kind, base)
        step = max(1, _MOST_NUMBERS // (height * width * channels))
        for begin in range(at, at + count, step):
            chosen = order[begin : min(begin + step, at + count)]
            box = scaled[chosen]
            x, y = firsts[0][chosen], firsts[1][chosen]
            columns = averaging_weights(box[:, 0], box[:, 2], length=shape[1], bins=size[1], first=x, window=width)
            rows = averaging_weights(box[:, 1], box[:, 3], length=shape[0], bins=size[0], first=y, window=height)
            yield chosen, rows, columns, _cells(images[chosen], y, x, height, width, shape)
        at += count


def _cells(images: Tensor, y: Tensor, x: Tensor, height: int, width: int, shape: tuple[int, int]) -> Tensor:
    """Index of every place of windows in a list of all cells of all images: int64 [n, height, width]."""
    rows = (y[:, None] + torch.arange(height, device=y.device)).clamp(max=shape[0] - 1)
    columns = (x[:, None] + torch.arange(width, device=x.device)).clamp(max=shape[1] - 1)
    return ((images[:, None] * shape[0] + rows) * shape[1])[:, :, None] + columns[:, None]


def _extent(starts: Tensor, ends: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """First cell of each window, int64 [N], and its size rounded up to 4, 6, 8, 12, 16, …, so that few sizes occur."""
    first = starts.floor().clamp(0, length - 1).long()
    last = (ends.floor() + 1).clamp(0, length - 1).long().maximum(first)
    needed = last - first + 1
    sizes = [_SMALLEST_WINDOW]
    while sizes[-1] < length:
        power = 2 ** math.floor(math.log2(sizes[-1]))
        sizes.append(sizes[-1] + power // 2)
    table = torch.tensor(sizes, device=starts.device)
    return first, table[torch.searchsorted(table, needed)]
