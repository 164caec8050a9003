"""What a panoptic trainer sees of a labelled image: pixels, classes and things, and nothing of where they came from.

Decisions made here (ours):

* a sample keeps small integers (image and classes of 8 bits, one number a pixel for things); masks are made of the window
  that a step looks at, so that an image with a hundred things costs no hundred masks of its size;
* a class map is taken as the row has it: a pixel of a thing class that no instance holds is void where the recipe made it
  void, and has its class where not;
* maps of another size than the image (a recipe may label at half its size) are brought to the image's, nearest pixel;
* a window that reaches beyond an image shows black, and is void there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from mbps_dataset.arrays import RGBImage
from mbps_dataset.errors import InputError
from mbps_dataset.models.panoptic.network import VOID, PanopticTarget
from mbps_dataset.records import DecodedRow
from mbps_dataset.resizing import resize_nearest


@dataclass(frozen=True, eq=False)
class PanopticSample:
    """One labelled image.

    `image` uint8 [3, H, W]; `semantic` uint8 [H, W], class id or `VOID`; `instance` int32 [H, W], 0 = none, k = the k-th
    thing; `class_ids` int64 [N] of the things.
    """

    image_id: str
    image: Tensor
    semantic: Tensor
    instance: Tensor
    class_ids: Tensor

    def window(self, top: int, left: int, height: int, width: int) -> PanopticSample:
        """The part that begins at `top`, `left`; things that it does not show are left out."""
        rows, columns = slice(top, top + height), slice(left, left + width)
        image, semantic = self.image[:, rows, columns], self.semantic[rows, columns]
        instance = self.instance[rows, columns]
        right, below = width - instance.shape[1], height - instance.shape[0]
        if right or below:
            image, semantic, instance = (
                F.pad(each, (0, right, 0, below), value=value)
                for each, value in ((image, 0), (semantic, VOID), (instance, 0))
            )
        shown = torch.unique(instance)
        shown = shown[shown > 0].long()
        table = torch.zeros(len(self.class_ids) + 1, dtype=torch.int32)
        table[shown] = torch.arange(1, len(shown) + 1, dtype=torch.int32)
        return PanopticSample(self.image_id, image, semantic, table[instance.long()], self.class_ids[shown - 1])

    def mirrored(self) -> PanopticSample:
        """Left and right exchanged."""
        image, semantic, instance = (each.flip(-1) for each in (self.image, self.semantic, self.instance))
        return PanopticSample(self.image_id, image, semantic, instance, self.class_ids)

    def target(self) -> PanopticTarget:
        """The labels as a network takes them, a mask a thing."""
        numbers = torch.arange(1, len(self.class_ids) + 1, dtype=torch.int32)
        return PanopticTarget(self.semantic.long(), self.instance == numbers[:, None, None], self.class_ids)


def sample_of_row(row: DecodedRow, *, image: RGBImage | None = None, void: int = VOID) -> PanopticSample:
    """A decoded row of a label set as a sample; `image` uint8 [H, W, 3] takes the place of the row's own.

    `void` is the class map's. Raises `InputError` if there is no image, or if the row lacks a column.
    """
    image = row.image if image is None else image
    if image is None:
        raise InputError(f"{row.image_id}: the row holds no image; attach the images it was made from.")
    if row.semantic is None or row.panoptic is None or row.segments is None:
        raise InputError(f"{row.image_id}: training needs the columns `semantic`, `panoptic` and `segments_info`.")
    things = [(segment["id"], segment["category_id"]) for segment in row.segments if segment["isthing"]]
    table = np.zeros(int(max([row.panoptic.max(initial=0), *(number for number, _ in things)])) + 1, np.int32)
    for k, (number, _) in enumerate(things, start=1):
        table[number] = k
    return labelled_sample(row.image_id, image, row.semantic, table[row.panoptic], [k for _, k in things], void=void)


def labelled_sample(
    image_id: str,
    image: RGBImage,
    semantic: NDArray[np.integer],
    instance: NDArray[np.integer],
    class_ids: Sequence[int],
    *,
    void: int = VOID,
) -> PanopticSample:
    """A sample from arrays: `image` uint8 [H, W, 3], maps [h, w], `instance` 0 or k for the k-th of `class_ids`."""
    height, width = image.shape[:2]
    if void != VOID:
        semantic = np.where(semantic == void, VOID, semantic)
    semantic, instance = (resize_nearest(each, height, width) for each in (semantic, instance))
    return PanopticSample(
        image_id,
        torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))),
        torch.from_numpy(np.ascontiguousarray(semantic, dtype=np.uint8)),
        torch.from_numpy(np.ascontiguousarray(instance, dtype=np.int32)),
        torch.tensor(list(class_ids), dtype=torch.long),
    )
