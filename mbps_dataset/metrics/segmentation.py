"""Pixel scores: confusion matrix, mean IoU and accuracy, with predicted void dropped and with it counted as wrong.

Decisions: counts are int64 (the published codes accumulate float32, off by 55 pixels in 3.6e8 over 500 images); the
mean runs over classes with a non-empty union. CUPS, STEGO, CAUSE and the report's evaluator drop pixels without a
prediction from both numbers, which flatters a method that leaves difficult pixels empty; the ``penalised`` variants
count them as errors (ours).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mbps_dataset.metrics.overlap import Int, OverlapTable


@dataclass(frozen=True)
class PixelScores:
    """Fractions in [0, 1], NaN where no pixel counts. `iou` per class, predicted void dropped."""

    miou: float
    accuracy: float
    miou_penalised: float
    accuracy_penalised: float
    iou: dict[int, float]


def class_overlap(
    table: OverlapTable, pseudo_ids: Sequence[int], class_ids: Sequence[int], *, per_image: bool = False
) -> Int:
    """Common pixels [K, C] of pseudo-classes and classes, or [images, K, C]; other ids and void are left out.

    Crowd pixels are in, as in the codes that match clusters this way.
    """
    true_class = _positions(table.true_segments[:, 1], class_ids)[table.pairs[:, 0]]
    pred_class = _positions(table.pred_segments[:, 1], pseudo_ids)[table.pairs[:, 1]]
    counts = (true_class >= 0) & (pred_class >= 0)
    image = table.true_segments[:, 0][table.pairs[:, 0]] if per_image else np.zeros(len(table.pairs), np.int64)
    shape = (table.images if per_image else 1, len(pseudo_ids), len(class_ids))
    flat = (image * shape[1] + pred_class) * shape[2] + true_class
    overlap = np.bincount(flat[counts], weights=table.pairs[counts, 2], minlength=math.prod(shape))
    overlap = overlap.astype(np.int64).reshape(shape)
    return overlap if per_image else overlap[0]


def confusion_matrix(
    table: OverlapTable, classes: Mapping[int, int], class_ids: Sequence[int], *, per_image: bool = False
) -> Int:
    """Pixels [C, C + 1] (rows truth, columns prediction, last column predicted void), or [images, C, C + 1].

    `classes` maps pseudo-classes to classes; one that is absent, like every id outside `class_ids`, is predicted void.
    """
    pseudo_ids = np.unique(table.pred_segments[:, 1])
    overlap = class_overlap(table, pseudo_ids.tolist(), class_ids, per_image=True)
    column = {c: position for position, c in enumerate(class_ids)}
    target = [column.get(classes.get(int(k), -1), len(class_ids)) for k in pseudo_ids]
    confusion = np.zeros((table.images, len(class_ids), len(class_ids) + 1), np.int64)
    for position, k in enumerate(target):
        confusion[:, :, k] += overlap[:, position]
    return confusion if per_image else confusion.sum(axis=0)


def pixel_scores(confusion: Int, class_ids: Sequence[int]) -> PixelScores:
    """Mean IoU and accuracy of a matrix made by `confusion_matrix` [C, C + 1]."""
    iou, accuracy = intersection_over_union(confusion, penalise_void=False)
    iou_penalised, accuracy_penalised = intersection_over_union(confusion, penalise_void=True)
    per_class = {int(c): float(value) for c, value in zip(class_ids, iou)}
    return PixelScores(nan_mean(iou), float(accuracy), nan_mean(iou_penalised), float(accuracy_penalised), per_class)


def void_share(confusion: Int) -> float:
    """Share of labelled pixels whose prediction is void; NaN without labelled pixels. `confusion` [C, C + 1]."""
    labelled = int(confusion.sum())
    return int(confusion[:, -1].sum()) / labelled if labelled else math.nan


def intersection_over_union(
    confusion: NDArray[np.number], *, penalise_void: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Per-class IoU [..., C] and accuracy [...] of matrices [..., C, C + 1]; NaN where the union is empty."""
    square = confusion[..., :-1]
    correct = np.diagonal(square, axis1=-2, axis2=-1)
    true = (confusion if penalise_void else square).sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return correct / (true + square.sum(axis=-2) - correct), correct.sum(axis=-1) / true.sum(axis=-1)


def nan_mean(values: NDArray[np.float64]) -> float:
    """Mean of the defined values; NaN, without a warning, where none is."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else float("nan")


def _positions(ids: Int, wanted: Sequence[int]) -> Int:
    """Position of each id in `wanted`, -1 where it is not in it."""
    position = {int(c): k for k, c in enumerate(wanted)}
    distinct, inverse = np.unique(ids, return_inverse=True)
    return np.array([position.get(int(c), -1) for c in distinct], np.int64)[inverse]
