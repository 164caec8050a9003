"""Matrix non-maximum suppression: the score of a mask decays with its overlap with better ones, all pairs at once.

With masks by falling score, iou_ij for i before j (else 0), and comp_i = max over k before i of iou_ki (Wang et al.
2020, SOLOv2, algorithm 1):

    gaussian   factor_j = min_i exp(−σ iou_ij²) / exp(−σ comp_i²)
    linear     factor_j = min_i (1 − iou_ij) / (1 − comp_i)

A later mask is also compared with those that are suppressed themselves; comp makes those count less. Decision made
here: where the linear kernel divides 0 by 0 (a mask equal to a mask that equals an earlier one) the earlier one
decides, and the factor is 0.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mbps_dataset.stages.instances.nms import mask_iou
from mbps_dataset.stages.instances.types import Instances


Kernel = Literal["gaussian", "linear"]


def matrix_nms(
    instances: Instances, *, kernel: Kernel = "gaussian", sigma: float = 2.0, min_score: float = 0.6
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Decayed scores that are at least `min_score`, falling, and the indices of their masks; float64 [K], int64 [K].

    Equal scores keep their order; classes are not looked at. `sigma` is the gaussian kernel's. Raises `ValueError` for
    an unknown kernel. Source: CUPS, section 3.2 (gaussian, σ = 2, 0.6 of its code).
    """
    if kernel not in ("gaussian", "linear"):
        raise ValueError(f"Unknown kernel {kernel!r}; choose gaussian or linear.")
    order = np.argsort(-instances.scores, kind="stable")
    ranked = instances.select(order)
    if not len(ranked):
        return np.zeros(0), order
    overlap = np.triu(mask_iou(ranked), k=1)
    decayed = ranked.scores * _factors(overlap, kernel, sigma)
    again = np.argsort(-decayed, kind="stable")
    kept = again[decayed[again] >= min_score]
    return decayed[kept], order[kept]


def _factors(overlap: NDArray[np.float64], kernel: Kernel, sigma: float) -> NDArray[np.float64]:
    """How much each score is kept, [K] in [0, 1], from the IoU with each better mask, [K, K] above the diagonal."""
    worst = overlap.max(axis=0)[:, None]
    if kernel == "gaussian":
        return np.exp(sigma * (np.square(worst) - np.square(overlap))).min(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = (1 - overlap) / (1 - worst)
    return np.where(np.isnan(ratio), 0, ratio).min(axis=0)
