"""How far a score would move with other images of the same kind: percentile bootstrap over images.

Whole images are resampled, since segments of one image are not independent (Efron and Tibshirani 1993, chapter 13).
The assignment of pseudo-classes is kept fixed (ours): the interval answers "another validation set", not "another
matching". Resampling is a product of weights and per-image counts, so that 1000 resamples of 500 images take
milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mbps_dataset.metrics.overlap import Int
from mbps_dataset.metrics.per_image import Float, class_means, counts_per_image, nan_mean_rows
from mbps_dataset.metrics.segment_matching import SegmentMatches
from mbps_dataset.metrics.segmentation import intersection_over_union


def bootstrap_draws(
    matches: SegmentMatches,
    confusion: Int,
    class_ids: Sequence[int],
    groups: Mapping[str, Sequence[int]],
    *,
    resamples: int,
    seed: int = 0,
) -> dict[str, Float]:
    """The class means "pq", "sq" and "rq" of every group of classes, and "miou" and "accuracy", of every resample.

    `confusion` [images, C, C + 1]; `groups` maps a suffix ("" for all, "_things", ...) to class ids. Each float64
    [resamples], NaN where undefined; nothing without an image or a resample. The same number of images, resamples and seed
    draw the same images, so that two results on the same images can be compared draw by draw.
    """
    images = len(confusion)
    if not images or not resamples:
        return {}
    weights = np.random.default_rng(seed).multinomial(images, np.full(images, 1 / images), size=resamples)
    tp, fp, fn, iou = counts_per_image(matches, images, class_ids)
    tp, fp, fn, iou = weights @ tp, weights @ fp, weights @ fn, weights @ iou
    draws: dict[str, Float] = {}
    for suffix, members in groups.items():
        columns = [position for position, c in enumerate(class_ids) if c in set(members)]
        quality = class_means(tp[:, columns], fp[:, columns], fn[:, columns], iou[:, columns])
        draws |= {f"{name}{suffix}": values for name, values in zip(("pq", "sq", "rq"), quality)}
    resampled = np.tensordot(weights, confusion, axes=1)
    class_iou, draws["accuracy"] = intersection_over_union(resampled, penalise_void=False)
    draws["miou"] = nan_mean_rows(class_iou)
    return draws


def bootstrap_intervals(draws: Mapping[str, Float], *, confidence: float = 0.95) -> dict[str, tuple[float, float]]:
    """Percentile intervals of `draws`, or of differences of two results' draws, which pairs them image by image.

    Draws in which a number is undefined are left out of its interval; NaN where that leaves nothing.
    """
    return {name: _percentiles(values, confidence) for name, values in draws.items()}


def _percentiles(values: Float, confidence: float) -> tuple[float, float]:
    defined = values[~np.isnan(values)]
    if not defined.size:
        return float("nan"), float("nan")
    low, high = np.quantile(defined, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
