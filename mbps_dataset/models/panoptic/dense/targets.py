"""What a dense network is to say of a batch: class, height of the centre map and offset of each cell, and where it is known.

After Panoptic-DeepLab (Cheng et al., CVPR 2020, 3). Decisions made here (ours):

* cells take the values of the pixel at their middle; centres are means over all pixels of a thing;
* a pixel of no known class teaches nothing, also inside a thing;
* a pixel of a thing class that belongs to no thing (one that stood still while things were cut out by their motion) teaches
  its class alone: nothing is known of its offset, and the centre map is not pushed to 0 there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mbps_dataset.models.panoptic.dense.config import STRIDE
from mbps_dataset.models.panoptic.network import VOID, PanopticTarget
from mbps_dataset.resizing import nearest_indices


@dataclass(frozen=True, eq=False)
class DenseTargets:
    """Maps of B images in cells: `semantic` int64 [B, h, w]; `centres` float32 [B, h, w] in [0, 1], known where
    `centre_known` bool [B, h, w]; `offsets` float32 [B, 2, h, w] (down, right; pixels) to the centre of the cell's thing,
    known where `offset_known` bool [B, h, w]."""

    semantic: Tensor
    centres: Tensor
    centre_known: Tensor
    offsets: Tensor
    offset_known: Tensor


def cell_positions(count: int, device: torch.device | str) -> Tensor:
    """Middles of `count` cells along one axis, in pixels: float32 [count]; pixel i has its middle at i."""
    return torch.arange(count, dtype=torch.float32, device=device) * STRIDE + (STRIDE - 1) / 2


def dense_targets(
    targets: Sequence[PanopticTarget], *, thing_ids: Sequence[int], centre_sigma: float, device: torch.device | str
) -> DenseTargets:
    """Targets of one size, sides multiples of 4, as maps in cells. `centre_sigma` in pixels."""
    each = [_of_one(target.to(device), thing_ids, centre_sigma) for target in targets]
    return DenseTargets(*(torch.stack(maps) for maps in zip(*each)))


def _of_one(target: PanopticTarget, thing_ids: Sequence[int], sigma: float) -> tuple[Tensor, ...]:
    semantic, device = target.semantic, target.semantic.device
    height, width = semantic.shape
    rows, columns = (torch.from_numpy(nearest_indices(n, n // STRIDE)).to(device) for n in (height, width))
    cells = semantic[rows][:, columns]
    down, right = (cell_positions(n // STRIDE, device) for n in (height, width))
    known = cells != VOID
    middles = _centres(target.masks)
    centres = torch.zeros(cells.shape, device=device)
    offsets = torch.zeros(2, *cells.shape, device=device)
    owned = torch.zeros_like(known)
    if len(middles):
        squared = (down[:, None] - middles[:, 0, None, None]) ** 2 + (right - middles[:, 1, None, None]) ** 2
        centres = torch.exp(-squared / (2 * sigma**2)).amax(0)
        masks = target.masks[target.masks.flatten(1).any(1)][:, rows][:, :, columns]
        owned, owner = masks.any(0), masks.byte().argmax(0)
        offsets = torch.stack([middles[owner, 0] - down[:, None], middles[owner, 1] - right]) * owned
    things = torch.isin(cells, torch.tensor(list(thing_ids), dtype=cells.dtype, device=device))
    return cells, centres, known & (owned | ~things), offsets, known & owned


def _centres(masks: Tensor) -> Tensor:
    """Mean (row, column) of the pixels of each mask that has any, float32 [N, 2]."""
    rows, columns = masks.sum(2, dtype=torch.float32), masks.sum(1, dtype=torch.float32)
    areas = rows.sum(1)
    down, right = (torch.arange(n, dtype=torch.float32, device=masks.device) for n in masks.shape[1:])
    sums = torch.stack([rows @ down, columns @ right], dim=1)
    return sums[areas > 0] / areas[areas > 0, None]
