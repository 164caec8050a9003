"""A teacher's prediction of an image: what it finds in several views, merged (CUPS, stage 3), for any panoptic network.

CUPS' teacher has boxes, and asks every view for the mask in the merged boxes (`cascade_views`). Networks without boxes cannot
be asked so; decisions made here (ours):

* masks of all views are brought to the image's size; the best-scored one stands for an object, those of its class that
  overlap it enough are the same object seen elsewhere, and its mask is their vote, weighted by score;
* class probabilities are resized after the soft-max, where CUPS resizes logits;
* segments: `models.cascade.panoptic_merge`, with CUPS' least stuff area as a share of the image, since images differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mbps_dataset.models.cascade.network import CascadeMaskRCNN, CascadePrediction, Found
from mbps_dataset.models.cascade.panoptic_merge import merge_panoptic
from mbps_dataset.models.panoptic.network import PanopticNetwork, PanopticPrediction
from mbps_dataset.settings import Settings, setting
from mbps_dataset.stages.instances.nms import mask_iou
from mbps_dataset.stages.instances.types import Instances
from mbps_dataset.stages.panoptic import Panoptic
from mbps_dataset.training.panoptic.cascade_views import find_in_views
from mbps_dataset.training.panoptic.scaled_views import CUPS_SCALES, View, restored, view_pixels, views_of


@dataclass(frozen=True)
class TeacherSettings(Settings, prefix="teacher."):
    """In which views a teacher looks, and what it must be sure of. Raises `RecipeError` for a value out of range."""

    scales: tuple[float, ...] = setting(CUPS_SCALES, "of the views, each plain and mirrored", at_least=0.05, at_most=8)
    least_score: float = setting(0.7, "score of a thing, at least", source="CUPS", at_least=0, at_most=1)
    same_object: float = setting(
        0.5, "mask IoU above which two of a class are one", source="CUPS", at_least=0, at_most=1
    )
    max_taken: float = setting(
        0.5, "share of a thing's pixels that better ones may hold", source="CUPS", at_least=0, at_most=1
    )
    min_stuff_share: float = setting(
        0.002,
        "pixels of a stuff class, as a share of the image's",
        source="CUPS: 4096 of 1024 x 2048",
        at_least=0,
        at_most=1,
    )


def predict_views(
    network: PanopticNetwork, image: Tensor, settings: TeacherSettings | None = None
) -> PanopticPrediction:
    """The merged prediction of `image` float32 [3, H, W] in [0, 1], at its size."""
    chosen = settings or TeacherSettings()
    size_hw = (image.shape[1], image.shape[2])
    views = views_of(size_hw, chosen.scales)
    if isinstance(network, CascadeMaskRCNN):
        return _of_boxes(network, find_in_views(network, image, views, above=chosen.least_score), chosen)
    found, probabilities = [], torch.zeros(())
    for view in views:
        (prediction,) = network.predict(view_pixels(image, view)[None])
        found.append(instances_from_view(prediction.instances, view, size_hw))
        probabilities = probabilities + restored(prediction.semantic_probabilities, view, size_hw).cpu() / len(views)
    instances = merge_instances(found, chosen.least_score, chosen.same_object)
    panoptic = _segments(instances, probabilities, network.thing_ids, chosen)
    return PanopticPrediction(panoptic, probabilities, instances)


def instances_from_view(instances: Instances, view: View, size_hw: tuple[int, int]) -> Instances:
    """Instances of a view at the image's size (height, width), mirrored back; the nearest pixel."""
    return (_mirrored(instances) if view.mirrored else instances).resized(*size_hw)


def merge_instances(parts: Sequence[Instances], least_score: float, same_object: float) -> Instances:
    """One instance an object, by falling score, from what each view found; all of one size.

    An object's score is that of its best instance, at least `least_score`; a pixel is in its mask where instances of at
    least half of the score hold it. Equal scores keep their order. Raises `ValueError` if there is no part.
    """
    pooled = Instances.concatenate(parts)
    pooled = pooled.select(np.argsort(-pooled.scores, kind="stable"))
    same = (mask_iou(pooled) > same_object) & (pooled.class_ids[:, None] == pooled.class_ids)
    pixels = list(pooled)
    free = np.ones(len(pooled), dtype=bool)
    masks, best = [], []
    for index in range(len(pooled)):
        if pooled.scores[index] < least_score:
            break
        if not free[index] or not len(pixels[index]):
            continue
        members = np.flatnonzero(free & (same[index] | (np.arange(len(pooled)) == index)))
        free[members] = False
        masks.append(_vote([pixels[member] for member in members], pooled.scores[members]))
        best.append(index)
    return Instances.from_pixels(pooled.shape, masks, pooled.class_ids[best], pooled.scores[best])


def _vote(pixels: Sequence[NDArray[np.int64]], scores: NDArray[np.float64]) -> NDArray[np.int64]:
    places, inverse = np.unique(np.concatenate(pixels), return_inverse=True)
    weights = np.bincount(inverse, np.repeat(scores, [len(each) for each in pixels]))
    return places[weights >= scores.sum() / 2 - 1e-12]


def _mirrored(instances: Instances) -> Instances:
    height, width = instances.shape
    pixels = [np.sort(each // width * width + (width - 1 - each % width)) for each in instances]
    return Instances.from_pixels((height, width), pixels, instances.class_ids, instances.scores)


def _of_boxes(network: CascadeMaskRCNN, found: Found, settings: TeacherSettings) -> PanopticPrediction:
    shape, logits = found.instances.shape, found.semantic
    semantic = np.zeros(shape, dtype=np.int64) if logits is None else logits.argmax(0).cpu().numpy()
    panoptic = _merged(found.instances, semantic, network.config.stuff_ids, settings)
    return CascadePrediction(panoptic, found, network.config)


def _segments(
    instances: Instances, probabilities: Tensor, thing_ids: frozenset[int], settings: TeacherSettings
) -> Panoptic:
    stuff_ids = [class_id for class_id in range(len(probabilities)) if class_id not in thing_ids]
    table = np.zeros(len(probabilities), dtype=np.int64)
    table[stuff_ids] = np.arange(1, len(stuff_ids) + 1)
    return _merged(instances, table[probabilities.argmax(0).numpy()], stuff_ids, settings)


def _merged(
    instances: Instances, semantic: NDArray[np.int64], stuff_ids: Sequence[int], settings: TeacherSettings
) -> Panoptic:
    """`semantic` [H, W]: 0 any thing, k the k-th of `stuff_ids`."""
    return merge_panoptic(
        instances,
        semantic,
        stuff_ids=stuff_ids,
        min_score=settings.least_score,
        max_taken=settings.max_taken,
        min_stuff_area=round(settings.min_stuff_share * semantic.size),
    )
