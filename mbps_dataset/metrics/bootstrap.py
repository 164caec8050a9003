"""How far a score would move with other images of the same kind: percentile bootstrap over images.

Whole images are resampled, since segments of one image are not independent (Efron and Tibshirani 1993, chapter 13).
The assignment of pseudo-classes is kept fixed (ours): the interval answers "another validation set", not "another
matching". Resampling is a product of weights and per-image counts, so that 1000 resamples of 500 images take
milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mbps_dataset.metrics.overlap import Int
from mbps_dataset.metrics.segment_matching import SegmentMatches
from mbps_dataset.metrics.segmentation import intersection_over_union


Float = NDArray[np.float64]


def bootstrap_intervals(
    matches: SegmentMatches,
    confusion: Int,
    class_ids: Sequence[int],
    groups: dict[str, Sequence[int]],
    *,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, tuple[float, float]]:
    """Intervals of the class means "pq", "sq" and "rq" of every group of classes, and of "miou" and "accuracy".

    `confusion` [images, C, C + 1]; `groups` maps a suffix ("" for all, "_things", ...) to class ids. Draws in which a
    number is undefined are left out of its interval; NaN where that leaves nothing.
    """
    if not 0 < confidence < 1 or resamples < 1:
        raise ValueError(f"Expected resamples >= 1 and 0 < confidence < 1, but got {resamples} and {confidence}.")
    images = len(confusion)
    if not images:
        return {}
    weights = np.random.default_rng(seed).multinomial(images, np.full(images, 1 / images), size=resamples)
    tp, fp, fn, iou = (weights @ counts for counts in counts_per_image(matches, images, class_ids))
    draws: dict[str, Float] = {}
    for suffix, members in groups.items():
        columns = [position for position, c in enumerate(class_ids) if c in set(members)]
        quality = _class_means(*(counts[:, columns] for counts in (tp, fp, fn, iou)))
        draws |= {f"{name}{suffix}": values for name, values in zip(("pq", "sq", "rq"), quality)}
    resampled = np.tensordot(weights, confusion, axes=1)
    class_iou, draws["accuracy"] = intersection_over_union(resampled, penalise_void=False)
    draws["miou"] = _nan_mean_rows(class_iou)
    return {name: _percentiles(values, confidence) for name, values in draws.items()}


def counts_per_image(matches: SegmentMatches, images: int, class_ids: Sequence[int]) -> tuple[Int, Int, Int, Float]:
    """TP, FP, FN and sum of IoU, each [images, C]."""

    def spread(rows: Int, weights: Float | None = None) -> Float:
        flat = rows[:, 0] * len(class_ids) + np.searchsorted(class_ids, rows[:, 1])
        counts = np.bincount(flat, weights=weights, minlength=images * len(class_ids))
        return counts.reshape(images, len(class_ids))

    kinds = (matches.true_positives, matches.false_positives, matches.false_negatives)
    tp, fp, fn = (spread(rows) for rows in kinds)
    return tp, fp, fn, spread(matches.true_positives, matches.ious)


def _class_means(tp: Float, fp: Float, fn: Float, iou: Float) -> tuple[Float, Float, Float]:
    """PQ, SQ, RQ [B] as means over classes with TP + FP + FN > 0 of counts [B, C]."""
    seen = tp + fp + fn > 0
    weight = np.where(seen, tp + fp / 2 + fn / 2, np.nan)
    sq = np.where(seen, iou / np.maximum(tp, 1), np.nan)
    return _nan_mean_rows(iou / weight), _nan_mean_rows(sq), _nan_mean_rows(tp / weight)


def _nan_mean_rows(values: Float) -> Float:
    defined = ~np.isnan(values)
    count = defined.sum(axis=1)
    total = np.where(defined, values, 0).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _percentiles(values: Float, confidence: float) -> tuple[float, float]:
    defined = values[~np.isnan(values)]
    if not defined.size:
        return float("nan"), float("nan")
    low, high = np.quantile(defined, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
