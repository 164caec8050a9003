"""Copy-paste: objects of a batch, at another size and place, pasted hard into its images (CUPS, stages 2 and 3).

Choosing is apart from pasting: `objects_to_copy` lists the objects, `draw_pastes` says which goes where, `copy_paste`
does it, and `random_copy_paste` is the three in a row.

Decisions made here; ``reference=True`` does as CUPS' code does:

| | here | the code |
|---|---|---|
| class of a pasted object | its own | of the object that has its number when those too small to be copied count, too |
| what is cut out | the whole object | without its last row and column |
| where it can lie | everywhere | not at the last row and column that would do |
| a batch pasted into itself | from the images as they were | the first paste into an image also cuts the masks copied from |
| an object without a pixel left | is not pasted | the whole batch comes back unpasted |
| semantic under an object | its class | 0, which is any thing |
| boxes of objects partly covered | of what is left | as before |

In both, later pastes cover earlier ones, covered pixels leave their masks, and an object covered whole is removed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mbps_dataset.models.cascade.boxes import boxes_of_masks
from mbps_dataset.models.panoptic.network import PanopticTarget
from mbps_dataset.settings import Settings, require_ascending, setting
from mbps_dataset.stages.motion.draws import Draws, pick
from mbps_dataset.training.panoptic.batch import LabelledBatch, labelled_batch


@dataclass(frozen=True)
class CopyPasteSettings(Settings, prefix="copy_paste."):
    """How many objects, of what size. Raises `RecipeError` for a value out of range."""

    most_objects: int = setting(8, "objects pasted into an image, at most; 1 at least", at_least=1, at_most=100)
    small_side_px: int = setting(32, "pixels of an object's box; only longer sides are copied", at_least=0)
    scale: tuple[float, float] = setting((0.25, 1.5), "least and largest factor of an object's size", at_least=0.01)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_ascending(self, "scale")


class SourceObject(NamedTuple):
    """An object that can be copied: `image` its number in the batch, `place` its number among the image's masks."""

    image: int
    place: int
    box: tuple[int, int, int, int]
    class_id: int


class Paste(NamedTuple):
    """One object to paste: its size times `scale`, `mirrored` or not, at shares of the free columns and rows."""

    source: SourceObject
    scale: float
    mirrored: bool
    across: float
    down: float


class PastedBatch(NamedTuple):
    """A batch after pasting and the `boxes` float32 [N, 4] of its masks, as `boxes_of_masks` has them."""

    batch: LabelledBatch
    boxes: tuple[Tensor, ...]


def objects_to_copy(
    targets: Sequence[PanopticTarget], small_side_px: int = 32, *, reference: bool = False
) -> list[SourceObject]:
    """The objects whose boxes have both sides longer than `small_side_px`, image after image."""
    found = []
    classes = [int(class_id) for target in targets for class_id in target.class_ids]
    for image, target in enumerate(targets):
        for place, box in enumerate(boxes_of_masks(target.masks, last_pixel=not reference).long().tolist()):
            left, top, right, bottom = box
            if min(right - left, bottom - top) > small_side_px:
                own = int(target.class_ids[place])
                found.append(SourceObject(image, place, (left, top, right, bottom), own))
    if reference:
        found = [each._replace(class_id=classes[number]) for number, each in enumerate(found)]
    return found


def draw_pastes(
    draws: Draws, images: int, objects: Sequence[SourceObject], settings: CopyPasteSettings | None = None
) -> list[list[Paste]]:
    """For each of `images` images, 1 to `most_objects` objects drawn with replacement; none where there is no object."""
    chosen = settings or CopyPasteSettings()
    if not objects:
        return [[] for _ in range(images)]
    least, largest = chosen.scale
    plan = []
    for _ in range(images):
        count = 1 + int(pick(draws(1), chosen.most_objects)[0])
        pastes = []
        for _ in range(count):
            number, scale, mirror, across, down = draws(5)
            source = objects[int(pick(number.reshape(1), len(objects))[0])]
            factor = least + float(scale) * (largest - least)
            pastes.append(Paste(source, factor, bool(mirror > 0.5), float(across), float(down)))
        plan.append(pastes)
    return plan


def random_copy_paste(
    batch: LabelledBatch,
    draws: Draws,
    settings: CopyPasteSettings | None = None,
    *,
    sources: LabelledBatch | None = None,
    reference: bool = False,
) -> LabelledBatch:
    """The batch with drawn objects of `sources` (default: the batch's own) pasted in; as it is where there are none."""
    chosen = settings or CopyPasteSettings()
    objects = objects_to_copy((sources or batch).targets, chosen.small_side_px, reference=reference)
    plan = draw_pastes(draws, len(batch.images), objects, chosen)
    return copy_paste(batch, plan, sources=sources, reference=reference).batch


def copy_paste(
    batch: LabelledBatch,
    plan: Sequence[Sequence[Paste]],
    *,
    sources: LabelledBatch | None = None,
    reference: bool = False,
) -> PastedBatch:
    """Paste the objects of `plan` (one list an image of `batch`), cut from `sources`, or from `batch` itself.

    Images are not changed in place. Objects larger than the image lose what does not fit, at the bottom and the right.
    Raises `ValueError` if the plan has another length than the batch.
    """
    if len(plan) != len(batch.images):
        raise ValueError(f"Expected a plan for each of {len(batch.images)} images, but got {len(plan)}.")
    origin = sources or batch
    masks_copied = [target.masks for target in origin.targets]
    aliased = reference and sources is None
    images, targets, boxes = [], [], []
    for number, (image, target, pastes) in enumerate(zip(batch.images, batch.targets, plan)):
        canvas = _Canvas(image, target, boxes_of_masks(target.masks, last_pixel=not reference))
        for turn, paste in enumerate(pastes):
            pixels, mask = _cut(origin.images, masks_copied, paste, tuple(image.shape[-2:]))
            if not bool(mask.any()):
                if reference:
                    return _unpasted(batch)
                continue
            top, left = _corner(paste, mask, tuple(image.shape[-2:]), reference)
            canvas = canvas.pasted(pixels, mask, top, left, paste.source.class_id, reference)
            if aliased and turn == 0:
                masks_copied[number] = canvas.masks[: len(target.masks)]
        images.append(canvas.image)
        left_over, its_boxes = canvas.visible(reference)
        targets.append(left_over)
        boxes.append(its_boxes)
    return PastedBatch(labelled_batch(torch.stack(images), targets), tuple(boxes))


class _Canvas:
    """An image, its labels and the boxes of its masks while objects are pasted."""

    def __init__(self, image: Tensor, target: PanopticTarget, boxes: Tensor) -> None:
        self.image, self.semantic = image, target.semantic
        self.masks, self.class_ids, self.boxes = target.masks, target.class_ids, boxes

    def pasted(self, pixels: Tensor, mask: Tensor, top: int, left: int, class_id: int, reference: bool) -> _Canvas:
        """The canvas with one more object, whose corner lies at row `top` and column `left`."""
        rows, columns = slice(top, top + mask.shape[0]), slice(left, left + mask.shape[1])
        whole = torch.zeros_like(self.semantic, dtype=torch.bool)
        whole[rows, columns] = mask
        image = self.image.clone()
        image[:, rows, columns] = torch.where(mask, pixels, image[:, rows, columns])
        semantic = self.semantic.masked_fill(whole, 0 if reference else class_id)
        masks = torch.cat([self.masks & ~whole, whole[None]])
        class_ids = torch.cat([self.class_ids, self.class_ids.new_tensor([class_id])])
        boxes = torch.cat([self.boxes, boxes_of_masks(whole[None], last_pixel=not reference)])
        return _Canvas(image, PanopticTarget(semantic, masks, class_ids), boxes)

    def visible(self, reference: bool) -> tuple[PanopticTarget, Tensor]:
        """What is left of the labels, and its boxes."""
        kept = self.masks.flatten(1).any(1)
        masks = self.masks[kept]
        boxes = self.boxes[kept] if reference else boxes_of_masks(masks)
        return PanopticTarget(self.semantic, masks, self.class_ids[kept]), boxes


def _unpasted(batch: LabelledBatch) -> PastedBatch:
    return PastedBatch(batch, tuple(boxes_of_masks(target.masks, last_pixel=False) for target in batch.targets))


def _cut(images: Tensor, masks: Sequence[Tensor], paste: Paste, size: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Pixels float32 [3, h, w] and mask bool [h, w] of an object at its new size, at most `size`."""
    left, top, right, bottom = paste.source.box
    rows, columns = slice(top, bottom), slice(left, right)
    mask = masks[paste.source.image][paste.source.place, rows, columns]
    pixels = images[paste.source.image, :, rows, columns]
    height, width = int(mask.shape[0] * paste.scale), int(mask.shape[1] * paste.scale)
    if min(height, width) < 1:
        return pixels[:, :0, :0], mask[:0, :0]
    scaled = F.interpolate(
        pixels[None], scale_factor=paste.scale, mode="bilinear", align_corners=False, recompute_scale_factor=False
    )[0]
    hard = F.interpolate(mask[None, None].float(), scale_factor=paste.scale, recompute_scale_factor=False)[0, 0] > 0.5
    if paste.mirrored:
        scaled, hard = scaled.flip(2), hard.flip(1)
    return scaled[:, : size[0], : size[1]], hard[: size[0], : size[1]]


def _corner(paste: Paste, mask: Tensor, size: tuple[int, ...], reference: bool) -> tuple[int, int]:
    free_rows, free_columns = size[0] - mask.shape[0], size[1] - mask.shape[1]
    if reference:
        return int(paste.down * free_rows), int(paste.across * free_columns)
    return min(int(paste.down * (free_rows + 1)), free_rows), min(int(paste.across * (free_columns + 1)), free_columns)
