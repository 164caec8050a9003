"""Refine one mask along the edges of the photograph with a two-label DenseCRF, as MaskCut and VoteCut do.

The mask enters as hard 0 and 1 through a softmax (so its probabilities are 0.27 and 0.73); afterwards holes are filled,
and a result that shares less than half with the mask before is refused. The kernels are those of the published code; it
works at 480 × 480 pixels, ours at the size it is given.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mbps_dataset.stages.crf import PRESETS, dense_crf


_FOREGROUND = math.e / (1.0 + math.e)


def refine_mask(
    mask: NDArray[np.bool_], image: NDArray[np.uint8], *, min_overlap: float = 0.5
) -> NDArray[np.bool_] | None:
    """`mask` [H, W] refined on `image` uint8 [H, W, 3] RGB; None if the two overlap (IoU) by less than `min_overlap`."""
    inside = np.where(mask, _FOREGROUND, 1.0 - _FOREGROUND).astype(np.float32)
    refined = dense_crf(image, np.stack([1.0 - inside, inside]), **PRESETS["maskcut"].kernels.arguments())
    filled = ndimage.binary_fill_holes(refined[1] > refined[0])
    union = (filled | mask).sum()
    return filled if union and (filled & mask).sum() >= min_overlap * union else None
