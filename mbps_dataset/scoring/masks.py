"""Scores of instance masks by themselves: class-agnostic average precision, and the report's own protocol.

Both take masks that may overlap: a detector's, read from its files, or else the thing segments of the labels. Decisions
(ours): instances of classes outside the table, and regions without instances of a thing class, count neither as found nor
as missed; the report's protocol needs classes, so pseudo-classes are named first, by the matching of the whole set.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mbps_dataset.errors import InputError
from mbps_dataset.formats.image_segmentation import VOID, Labels
from mbps_dataset.metrics import REPORT_HW, MaskAveragePrecision, ReportProtocol
from mbps_dataset.resizing import resize_nearest


if TYPE_CHECKING:
    from mbps_dataset.sources.detections import Detections


@dataclass(frozen=True)
class DetectedMasks:
    """Masks of a detector for images that are scored; `names` takes the ids of the scored images to the detector's."""

    detections: Detections
    names: Mapping[str, str]

    @classmethod
    def read(cls, path: Path, image_ids: Collection[str], *, split_in_id: bool) -> DetectedMasks:
        """The detections in `path`; `split_in_id`: scored ids begin with ``split/``, the detector's do not.

        Raises `InputError` for what `read_detections` refuses, and if two splits have an image of one name.
        """
        from mbps_dataset.sources.detections import read_detections  # here: it imports torch

        names = {image_id: image_id.split("/", 1)[1] if split_in_id else image_id for image_id in image_ids}
        if len(set(names.values())) < len(names):
            raise InputError(
                f"{path} cannot tell apart images of one name in several splits; choose one with --split."
            )
        return cls(read_detections(path, set(names.values())), names)

    def of(self, image_id: str, shape: tuple[int, int]) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """Masks bool [N, H, W] and scores [N] of an image of `shape` (H, W)."""
        found = self.detections.instances(self.names[image_id], shape)
        return found.masks(), found.scores


def add_masks(
    precision: MaskAveragePrecision,
    predicted: Labels,
    true: Labels,
    image_id: str,
    *,
    pred_things: Collection[int],
    things: Collection[int],
    detected: DetectedMasks | None,
) -> None:
    """Add one image to `precision`: thing segments of `predicted`, or `detected` masks, against those of `true`.

    `predicted` and `true` are of one size; `pred_things` are (pseudo-)classes of `predicted`, `things` classes of `true`.
    """
    numbers, _ = numbered_things(true, things)
    crowd = _ignored(true, numbers)
    if detected is None:
        pred_numbers, scores = numbered_things(predicted, pred_things)
        precision.update(pred_numbers, numbers, scores, true_crowd=crowd, image_id=image_id)
        return
    masks, mask_scores = detected.of(image_id, true.semantic.shape)
    true_masks, crowds = _stack(numbers), _stack(crowd)
    flags = np.repeat([False, True], [len(true_masks), len(crowds)])
    every = np.concatenate([true_masks, crowds])
    precision.update_masks(masks, mask_scores, every, true_crowd=flags, image_id=image_id)


def add_to_protocol(
    protocol: ReportProtocol,
    predicted: Labels,
    true: Labels,
    image_id: str,
    *,
    pred_things: Collection[int],
    class_of: Mapping[int, int] | None,
    detected: DetectedMasks | None,
) -> None:
    """Add one image to `protocol`, at the report's size; `class_of` names pseudo-classes, None: they are classes."""
    if detected is None:
        numbers, by_number = numbered_things(predicted, pred_things)
        masks, scores = _stack(_at_report_size(numbers), by_number), np.array(list(by_number.values()))
    else:
        masks, scores = detected.of(image_id, true.semantic.shape)
        masks = resize_nearest(masks.transpose(1, 2, 0), *REPORT_HW).transpose(2, 0, 1)
    semantic = np.asarray(predicted.semantic)
    if class_of is not None:
        table = np.full(int(semantic.max(initial=0)) + 1, protocol.pixels.settings.void)
        for pseudo, class_id in class_of.items():
            if pseudo < len(table):
                table[pseudo] = class_id
        semantic = table[semantic]
    instance = np.zeros(true.semantic.shape, np.int32) if true.instance is None else true.instance
    maps = (_at_report_size(each) for each in (semantic, true.semantic, instance))
    pred_semantic, true_semantic, true_instance = maps
    protocol.update(pred_semantic, masks, true_semantic, true_instance, scores=scores, image_id=image_id)


def numbered_things(labels: Labels, things: Collection[int]) -> tuple[NDArray[np.int64], dict[int, float]]:
    """Instances of thing classes as one map [H, W], 0 = none, and the score of each number (1 where there is none).

    Equal instance ids of two classes are two instances; pixels of a thing class without an instance id are none.
    """
    semantic = np.asarray(labels.semantic).astype(np.int64)
    if labels.instance is None:
        return np.zeros_like(semantic), {}
    instance = np.asarray(labels.instance).astype(np.int64)
    count = int(instance.max(initial=0)) + 1
    is_mask = np.isin(semantic, list(things)) & (instance > 0)
    if labels.crowd is not None:
        is_mask &= np.asarray(labels.crowd) == 0
    numbers = np.where(is_mask, semantic * count + instance, 0)
    present = np.unique(numbers[is_mask]).tolist()
    return numbers, {number: labels.scores.get(number % count, 1.0) for number in present}


def _ignored(true: Labels, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Regions [H, W] that no mask can be right or wrong about: crowds, and instances of no class of the table."""
    crowd = np.zeros_like(numbers) if true.crowd is None else np.asarray(true.crowd).astype(np.int64)
    if true.instance is None:
        return crowd
    instance = np.asarray(true.instance).astype(np.int64)
    strange = (instance > 0) & (np.asarray(true.semantic) == VOID) & (crowd == 0)
    return np.where(strange, instance + crowd.max(initial=0), crowd)


def _stack(numbers: NDArray[np.integer], ids: Collection[int] | None = None) -> NDArray[np.bool_]:
    """Masks bool [N, H, W] of the numbers from 1 in a map, or of `ids`, ascending."""
    wanted = np.unique(numbers[numbers > 0]) if ids is None else np.array(sorted(ids), np.int64)
    return numbers == wanted[:, None, None]


def _at_report_size(labels: NDArray[np.integer]) -> NDArray[np.integer]:
    return resize_nearest(np.asarray(labels), *REPORT_HW)
