"""Which tokens a student does not see: rectangles, because single hidden patches can be read off their neighbours.

Source: block-wise masking of BEiT (Bao et al., ICLR 2022), as iBOT uses it.
"""

from __future__ import annotations

import torch
from torch import Tensor


def draw_block_masks(pictures: int, side: int, share: tuple[float, float]) -> Tensor:
    """Rectangles until a random share of the tokens is hidden: bool [pictures, side^2], at least one per picture."""
    masks = torch.zeros(pictures, side, side, dtype=torch.bool)
    for mask in masks:
        wanted = max(1, round(side * side * float(torch.empty(1).uniform_(*share))))
        while int(mask.sum()) < wanted:
            height, width = (int(torch.randint(1, max(2, side // 3), (1,))) for _ in range(2))
            top, left = (int(torch.randint(0, side - extent + 1, (1,))) for extent in (height, width))
            mask[top : top + height, left : left + width] = True
    return masks.flatten(1)
