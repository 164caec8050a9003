"""Class-agnostic mask quality: COCO's average precision with one category, and mask precision at 50 % IoU.

The rules are COCOeval's with ``useCats=0`` (Lin et al., ECCV 2014; checked against pycocotools): ten IoU thresholds
0.50 ... 0.95; predictions by descending score, at most 100 per image; each takes the free true mask of largest IoU that
reaches the threshold; precision is made non-increasing and read at 101 recalls. True masks outside an area range, and
crowds, are ignored: they are neither found nor missed, and a prediction on one is neither right nor wrong; so is an
unmatched prediction outside the range. Equal scores of different images count in the order of the images. For a crowd, "IoU" is the share of the prediction inside it.

Published class-agnostic tables of this field come without their evaluation code, so 100 predictions, crowds and void
are assumptions there; these are ours. `mask_precision` is the share of predicted masks whose best IoU with any true
mask exceeds 0.5, over all images: no one-to-one rule and no score, as the figure that shows it suggests.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mbps_dataset.errors import InputError
from mbps_dataset.metrics.overlap import Int, overlap_table


THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)
AREA_RANGES_PX = {"all": (0, 1e10), "small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, 1e10)}
MAX_PREDICTIONS = 100

Float = NDArray[np.float64]


@dataclass(frozen=True)
class DetectionResult:
    """Fractions; NaN where no true mask (or, for `mask_precision`, no prediction) exists."""

    ap: float
    ap50: float
    ap75: float
    ap_small: float
    ap_medium: float
    ap_large: float
    ar_100: float
    mask_precision: float
    true_masks: int
    pred_masks: int

    def to_dict(self) -> dict[str, float | int | None]:
        """Plain Python, ready for JSON: undefined numbers are None."""
        return {name: None if math.isnan(value) else value for name, value in asdict(self).items()}


@dataclass(frozen=True)
class _Image:
    iou: Float  # [D, G], predictions by descending score
    scores: Float
    pred_area: Int
    true_area: Int
    crowd: NDArray[np.bool_]


class MaskAveragePrecision:
    """Collects images, then gives AP over all of them. States merge; `compute` changes nothing."""

    def __init__(self) -> None:
        self._images: list[_Image] = []

    def update(
        self,
        pred_instance: Any,
        true_instance: Any,
        scores: Mapping[int, float],
        *,
        true_crowd: Any | None = None,
        image_id: str | None = None,
    ) -> None:
        """Add one image of masks that do not overlap, given as maps [H, W] of instance ids, 0 = none.

        `scores` maps every predicted id to its score; `true_crowd` is > 0 on crowd regions, which are ignored. Raises
        `InputError` naming the image for a missing score and for maps `overlap_table` refuses.
        """
        name = f"image {image_id!r}"
        table = overlap_table(pred_instance, None, true_instance, None, true_crowd=true_crowd, image=name)
        pred_rows = np.flatnonzero(table.pred_segments[:, 1] > 0)
        true_rows = np.flatnonzero((table.true_segments[:, 1] > 0) | (table.true_segments[:, 3] > 0))
        ids = table.pred_segments[pred_rows, 1].tolist()
        missing = [k for k in ids if k not in scores]
        if missing:
            raise InputError(f"{name}: predicted instance {missing[0]} has no score; give one for every instance id.")
        self._require_numbers(np.array([scores[k] for k in ids], np.float64), name)
        common = np.zeros((len(table.pred_segments), len(table.true_segments)), np.int64)
        common[table.pairs[:, 1], table.pairs[:, 0]] = table.pairs[:, 2]
        self._append(
            common[np.ix_(pred_rows, true_rows)],
            np.array([scores[k] for k in ids], np.float64),
            common.sum(axis=1)[pred_rows],
            common.sum(axis=0)[true_rows],
            table.true_segments[true_rows, 3] > 0,
        )

    def update_masks(
        self, pred_masks: Any, scores: Any, true_masks: Any, *, true_crowd: Any | None = None,
        image_id: str | None = None,
    ) -> None:  # fmt: skip
        """Add one image of masks that may overlap: bool [D, H, W], scores [D], bool [G, H, W], crowd flags bool [G].

        Either side may be empty, also as an empty list. Raises `InputError` naming the image for other shapes and for
        scores that are no numbers.
        """
        pred, true = (np.asarray(masks, bool) for masks in (pred_masks, true_masks))
        pred, true = _shaped_like(pred, true), _shaped_like(true, pred)
        scores = np.asarray(scores, np.float64)
        crowd = np.zeros(len(true), bool) if true_crowd is None else np.asarray(true_crowd, bool)
        if pred.ndim != 3 or true.ndim != 3 or pred.shape[1:] != true.shape[1:]:
            raise InputError(
                f"image {image_id!r}: expected masks [D, H, W] and [G, H, W] of one size, but got {pred.shape} and "
                f"{true.shape}."
            )
        if scores.shape != (len(pred),) or crowd.shape != (len(true),):
            raise InputError(
                f"image {image_id!r}: expected a score per predicted mask and a crowd flag per true mask, but got "
                f"{scores.shape} for {len(pred)} and {crowd.shape} for {len(true)}."
            )
        self._require_numbers(scores, f"image {image_id!r}")
        pixels = math.prod(pred.shape[1:])
        pred, true = pred.reshape(len(pred), pixels), true.reshape(len(true), pixels)
        common = np.array([true[:, mask].sum(axis=1) for mask in pred], np.int64).reshape(len(pred), len(true))
        self._append(common, scores, pred.sum(axis=1), true.sum(axis=1), crowd)

    def merge(self, other: MaskAveragePrecision) -> MaskAveragePrecision:
        """Add the images of `other` after those of self. Returns self."""
        self._images += other._images
        return self

    def compute(self) -> DetectionResult:
        """AP over all images so far."""
        curves = {name: _precision_and_recall(self._images, limits) for name, limits in AREA_RANGES_PX.items()}
        precision, recall = curves["all"]
        best = [image.iou[:, ~image.crowd].max(axis=1, initial=0) for image in self._images]
        hits = np.concatenate([np.zeros(0), *best]) > 0.5
        return DetectionResult(
            ap=_mean(precision),
            ap50=_mean(precision[np.isclose(THRESHOLDS, 0.5)]),
            ap75=_mean(precision[np.isclose(THRESHOLDS, 0.75)]),
            **{f"ap_{size}": _mean(curves[size][0]) for size in ("small", "medium", "large")},
            ar_100=_mean(recall),
            mask_precision=float(hits.mean()) if hits.size else math.nan,
            true_masks=sum(int((~image.crowd).sum()) for image in self._images),
            pred_masks=len(hits),
        )

    @staticmethod
    def _require_numbers(scores: Float, name: str) -> None:
        if np.isnan(scores).any():
            position = int(np.flatnonzero(np.isnan(scores))[0])
            raise InputError(
                f"{name}: the score of prediction {position} is not a number; it would be ranked by chance."
            )

    def _append(self, common: Int, scores: Float, pred_area: Int, true_area: Int, crowd: NDArray[np.bool_]) -> None:
        union = np.where(crowd, pred_area[:, None], pred_area[:, None] + true_area - common)
        order = np.argsort(-scores, kind="stable")
        iou = common / np.maximum(union, 1)
        self._images.append(_Image(iou[order], scores[order], pred_area[order], true_area, crowd))


def _shaped_like(masks: NDArray[np.bool_], other: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """No masks, written as an empty list, in the size of the other side's."""
    return masks.reshape(0, *(other.shape[1:] if other.ndim == 3 else (0, 0))) if masks.shape == (0,) else masks


def _precision_and_recall(images: list[_Image], limits: tuple[float, float]) -> tuple[Float, Float]:
    """Precision [thresholds, recalls] and final recall [thresholds] in one area range; NaN without true masks."""
    matched = [_match(image, limits) for image in images]
    true_count = sum(int((~_ignored(image, limits)).sum()) for image in images)
    if not true_count:
        return np.full((len(THRESHOLDS), len(RECALLS)), math.nan), np.full(len(THRESHOLDS), math.nan)
    scores = np.concatenate([image.scores[:MAX_PREDICTIONS] for image in images])
    order = np.argsort(-scores, kind="stable")
    is_hit = np.concatenate([hit for hit, _ in matched], axis=1)[:, order]
    is_ignored = np.concatenate([ignored for _, ignored in matched], axis=1)[:, order]
    hits = np.cumsum(is_hit & ~is_ignored, axis=1)
    misses = np.cumsum(~is_hit & ~is_ignored, axis=1)
    precision = hits / np.maximum(hits + misses, np.spacing(1))
    recall = hits / true_count
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    sampled = np.zeros((len(THRESHOLDS), len(RECALLS)))
    for row, (reached, best) in enumerate(zip(recall, envelope)):
        position = np.searchsorted(reached, RECALLS, side="left")
        inside = position < len(reached)
        sampled[row, inside] = best[position[inside]]
    return sampled, recall[:, -1] if recall.shape[1] else np.zeros(len(THRESHOLDS))


def _ignored(image: _Image, limits: tuple[float, float]) -> NDArray[np.bool_]:
    return image.crowd | (image.true_area < limits[0]) | (image.true_area > limits[1])


def _match(image: _Image, limits: tuple[float, float]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Of the first predictions, [thresholds, D]: which found a true mask, and which are ignored."""
    ignored = _ignored(image, limits)
    order = np.argsort(ignored, kind="stable")  # masks that count come first
    iou, ignored, crowd = image.iou[:MAX_PREDICTIONS, order], ignored[order], image.crowd[order]
    area = image.pred_area[:MAX_PREDICTIONS]
    hit = np.zeros((len(THRESHOLDS), len(iou)), bool)
    on_ignored = np.zeros_like(hit)
    for row, threshold in enumerate(THRESHOLDS):
        taken = np.zeros(len(ignored), bool)
        for prediction, overlaps in enumerate(iou):
            target = _best_free(overlaps, taken & ~crowd, ignored, min(threshold, 1 - 1e-10))
            if target >= 0:
                taken[target] = hit[row, prediction] = True
                on_ignored[row, prediction] = ignored[target]
    outside = (area < limits[0]) | (area > limits[1])
    return hit, on_ignored | (~hit & outside)


def _best_free(overlaps: Float, blocked: NDArray[np.bool_], ignored: NDArray[np.bool_], threshold: float) -> int:
    """Free true mask of largest IoU >= threshold, one that counts before one that is ignored; the last among equals."""
    for group in (~ignored, ignored):
        open_to = np.where(group & ~blocked & (overlaps >= threshold), overlaps, -1.0)
        if open_to.size and open_to.max() >= 0:
            return len(open_to) - 1 - int(np.argmax(open_to[::-1]))
    return -1


def _mean(values: Float) -> float:
    return float(values.mean()) if values.size and not np.isnan(values).any() else math.nan
