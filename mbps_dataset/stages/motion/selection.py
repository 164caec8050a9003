"""Greedy choice of the motions that explain most of the scene (SF2SE3 as used by CUPS stage 1).

With soft inliers p_k and S a sum over reliable points, the gain of a candidate is

    gain_k = S[clamp(p_k − max_j p_j, 0, 1)] / (S[1] + 1e-10)

where j runs over earlier objects and what this call has taken; the best is taken (the first of equal ones) while its gain is
above 0.0015. Candidates that repeat an *earlier* object, soft IoU above 0.15, are out before the first choice; the soft IoU
is S[pq] / (S[pq] + S[p(1 − q)] + S[(1 − p)q] + 1e-10). Measured on the reference: no such test among those taken in one call.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


LEAST_GAIN = 0.0015
LARGEST_OVERLAP = 0.15


@dataclass(frozen=True)
class Selection:
    """`indices` of the candidates taken, in order; `gains` of all candidates at each step, float32 [steps, K], the one that
    ended the choice included; `overlap` float32 [K], largest soft IoU with an earlier object (0 without any)."""

    indices: tuple[int, ...]
    gains: NDArray[np.float32]
    overlap: NDArray[np.float32]


def select_motions(
    soft: NDArray[np.float32],
    reliable: NDArray[np.bool_],
    *,
    max_count: int,
    previous: NDArray[np.float32] | None = None,
    least_gain: float = LEAST_GAIN,
    largest_overlap: float = LARGEST_OVERLAP,
) -> Selection:
    """At most `max_count` of K candidates; `soft` [K, N] in [0, 1], `reliable` [N], `previous` [M, N] of earlier objects."""
    candidates = soft[:, reliable]
    covered = np.zeros(candidates.shape[1], dtype=np.float32)
    overlap = np.zeros(len(soft), dtype=np.float32)
    if previous is not None and len(previous):
        earlier = previous[:, reliable]
        overlap = soft_iou(candidates, earlier).max(axis=1)
        candidates = np.where(overlap[:, None] > largest_overlap, np.float32(0), candidates)
        covered = earlier.max(axis=0)
    taken: list[int] = []
    gains = []
    while len(taken) < max_count and len(candidates):
        gain = np.clip(candidates - covered, 0, 1).sum(axis=1) / np.float32(reliable.sum() + 1e-10)
        gains.append(gain)
        best = int(gain.argmax())
        if not gain[best] > least_gain:
            break
        taken.append(best)
        covered = np.maximum(covered, candidates[best])
    steps = np.stack(gains) if gains else np.zeros((0, len(soft)), dtype=np.float32)
    return Selection(tuple(taken), steps, overlap)


def soft_iou(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    """Soft intersection over union of K and M maps over N points, float32 [K, M]."""
    both = first @ second.T
    only = first.sum(axis=1)[:, None] + second.sum(axis=1) - 2 * both
    return both / (both + only + np.float32(1e-10))
