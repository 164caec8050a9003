"""From a label per pixel to masks with scores: connected regions of each object that is not the background.

Regions of fewer than 128 pixels go. The score is the mean over the region of the softmax over all objects of the
log-likelihood, those that were left out for their rotation included (CUPS stage 1, as measured on the reference code).
Regions are 8-connected, as the GPU code did that made the published labels; its CPU code, and the option, is 4.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import softmax

from mbps_dataset.stages.motion.hole_filling import Connectivity, neighbourhood


LEAST_REGION_PX = 128


def moving_regions(
    labels: NDArray[np.integer],
    log_likelihood: NDArray[np.float32],
    kept: NDArray[np.bool_],
    *,
    least_px: int = LEAST_REGION_PX,
    connectivity: Connectivity = 8,
    reference: bool = False,
) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Masks bool [M, H, W] and scores float32 [M], by object, then by first pixel.

    `labels` [H, W] in 0 … K − 1, 0 the background; `log_likelihood` [K, H, W]; `kept` [K], which objects may have regions.
    With `reference` the *first label present* is the background, so that an object is lost where no pixel has label 0.
    Raises `ValueError` for another connectivity than 4 or 8.
    """
    neighbours = neighbourhood(connectivity)
    present = np.unique(labels)
    background = int(present[0]) if reference else 0
    masks, scores = [], []
    for number in present[(present != background) & kept[present]]:
        regions, count = ndimage.label(labels == number, structure=neighbours)
        areas = np.bincount(regions.ravel(), minlength=count + 1)
        for region in np.flatnonzero(areas[1:] >= least_px) + 1:
            mask = regions == region
            masks.append(mask)
            scores.append(softmax(log_likelihood[:, mask], axis=0)[number].mean())
    if not masks:
        return np.zeros((0, *labels.shape), dtype=bool), np.zeros(0, dtype=np.float32)
    return np.stack(masks), np.array(scores, dtype=np.float32)
