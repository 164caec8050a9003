"""Instances and a semantic map become one map of segments, as detectron2 and CUPS merge them (measured on both).

Instances by falling score until the first below the least score (compared in double precision: a float32 score of 0.7 is below 0.7);
one without pixels is passed over, one whose pixels are taken by more than the allowed share is dropped, the others keep their free
pixels. Then stuff by ascending label on free pixels, from a least area on. What is left is void. Of equal scores the first wins
(published code leaves it open).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mbps_dataset.models.cascade.semantic_head import ANY_THING
from mbps_dataset.stages.instances.types import Instances
from mbps_dataset.stages.panoptic import Panoptic


def merge_panoptic(
    instances: Instances,
    semantic: NDArray[np.integer],
    *,
    stuff_ids: Sequence[int],
    min_score: float = 0.5,
    max_taken: float = 0.5,
    min_stuff_area: int = 4096,
) -> Panoptic:
    """Segments with the classes of `instances` and with those of `semantic` [H, W]: 0 any thing, k the class ``stuff_ids[k - 1]``.

    `min_score` of an instance, `max_taken` share of its pixels that better ones may have, `min_stuff_area` in pixels. Raises
    `ValueError` if sizes differ.
    """
    if instances.shape != semantic.shape:
        raise ValueError(f"Expected one size, but got instances of {instances.shape} and a map of {semantic.shape}.")
    numbers = np.zeros(semantic.size, dtype=np.int32)
    class_ids: list[int] = []
    scores: list[float] = []
    masks = list(instances)
    for index in np.argsort(-instances.scores, kind="stable").tolist():
        if instances.scores[index] < min_score:
            break
        pixels = masks[index]
        free = pixels[numbers[pixels] == 0]
        if not len(pixels) or (len(pixels) - len(free)) / len(pixels) > max_taken:
            continue
        class_ids.append(int(instances.class_ids[index]))
        scores.append(float(instances.scores[index]))
        numbers[free] = len(class_ids)
    things = len(class_ids)
    labels = np.where(numbers == 0, semantic.ravel(), ANY_THING)
    areas = np.bincount(labels, minlength=1)
    table = np.zeros(len(areas), dtype=np.int32)
    for label in np.flatnonzero(areas >= max(min_stuff_area, 1)).tolist():
        if label != ANY_THING:
            class_ids.append(int(stuff_ids[label - 1]))
            table[label] = len(class_ids)
    numbers += table[labels]
    isthing = [place < things for place in range(len(class_ids))]
    return Panoptic.from_map(
        numbers.reshape(semantic.shape), class_ids, isthing, [*scores, *[1.0] * (len(class_ids) - things)]
    )
