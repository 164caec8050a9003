"""Counts and quality image by image: which pictures a method fails on, and what the bootstrap resamples.

The PQ of one image is the mean over the classes that occur in it or are predicted in it, so that the mean of these
numbers over images is *not* the PQ of the set (ours; users of panoptic evaluators ask for it).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mbps_dataset.metrics.overlap import Int
from mbps_dataset.metrics.segment_matching import SegmentMatches


Float = NDArray[np.float64]
Counts = tuple[Int, Int, Int, Float]
"""TP, FP, FN and sum of IoU, each [rows, C]."""


@dataclass(frozen=True)
class ImageQuality:
    """PQ of one image over all, thing and stuff classes (NaN where there is none), and its counts."""

    image_id: str | None
    pq: float
    pq_things: float
    pq_stuff: float
    tp: int
    fp: int
    fn: int


def image_qualities(
    matches: SegmentMatches,
    image_ids: Sequence[str | None],
    class_ids: Sequence[int],
    groups: Mapping[str, Sequence[int]],
) -> list[ImageQuality]:
    """Quality of every image. `groups` maps "", "_things" and "_stuff" to the classes averaged."""
    tp, fp, fn, iou = counts_per_image(matches, len(image_ids), class_ids)
    quality: dict[str, list[float]] = {}
    for suffix, members in groups.items():
        kept = np.flatnonzero(np.isin(class_ids, members))
        quality[suffix] = class_means(tp[:, kept], fp[:, kept], fn[:, kept], iou[:, kept])[0].tolist()
    return [
        ImageQuality(
            image_id,
            pq=quality[""][row],
            pq_things=quality["_things"][row],
            pq_stuff=quality["_stuff"][row],
            tp=int(tp[row].sum()),
            fp=int(fp[row].sum()),
            fn=int(fn[row].sum()),
        )
        for row, image_id in enumerate(image_ids)
    ]


def counts_per_image(matches: SegmentMatches, images: int, class_ids: Sequence[int]) -> Counts:
    """TP, FP, FN and sum of IoU, each [images, C]."""

    size = (images, len(class_ids))

    def cells(rows: Int) -> Int:
        return rows[:, 0] * len(class_ids) + np.searchsorted(class_ids, rows[:, 1])

    def count(rows: Int) -> Int:
        return np.bincount(cells(rows), minlength=images * len(class_ids)).reshape(size)

    hits = matches.true_positives
    iou = np.bincount(cells(hits), weights=matches.ious, minlength=images * len(class_ids)).astype(np.float64)
    return count(hits), count(matches.false_positives), count(matches.false_negatives), iou.reshape(size)


def class_means(tp: Int, fp: Int, fn: Int, iou: Float) -> tuple[Float, Float, Float]:
    """PQ, SQ, RQ [B] as means over classes with TP + FP + FN > 0 of counts [B, C]."""
    seen = tp + fp + fn > 0
    weight = np.where(seen, tp + fp / 2 + fn / 2, np.nan)
    sq = np.where(seen, iou / np.maximum(tp, 1), np.nan)
    return nan_mean_rows(iou / weight), nan_mean_rows(sq), nan_mean_rows(tp / weight)


def nan_mean_rows(values: Float) -> Float:
    defined = ~np.isnan(values)
    count = defined.sum(axis=1)
    total = np.where(defined, values, 0).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
