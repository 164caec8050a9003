"""Random crops and mirrors of a training batch.

Two kinds, after CUPS: stage 2 cuts 70 to 100 % of an image's area at the image's aspect ratio, enlarges it to the image's
size and mirrors every other image (`draw_zooms`, `zoom_batch`); stage 3 cuts one size a batch, each image elsewhere,
and enlarges nothing (`draw_crop`, `crop_batch`).

Decisions made here: the aspect ratio of a zoom is the image's own, by construction. CUPS' code hands it to a library as
height over width, where newer releases take width over height and stretch the images fourfold without a word.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch

from mbps_dataset.models.panoptic.network import PanopticTarget
from mbps_dataset.stages.motion.draws import Draws, pick
from mbps_dataset.training.panoptic.batch import LabelledBatch, labelled_batch, without_specks
from mbps_dataset.training.panoptic.resolution_jitter import resize_batch


class Zoom(NamedTuple):
    """A part of an image, its corner and size in pixels, and whether it is mirrored."""

    top: int
    left: int
    height: int
    width: int
    mirrored: bool


class Crop(NamedTuple):
    """One size for a batch, in pixels, and the (top, left) corner of each image's part."""

    height: int
    width: int
    corners: tuple[tuple[int, int], ...]


def draw_zooms(
    draws: Draws, images: int, size_hw: tuple[int, int], *, area: tuple[float, float] = (0.7, 1.0), mirror: float = 0.5
) -> list[Zoom]:
    """A zoom for each of `images` images of `size_hw`: `area` as share of the image's, mirrored with chance `mirror`."""
    height, width = size_hw
    zooms = []
    for _ in range(images):
        share, down, across, turned = draws(4)
        factor = math.sqrt(area[0] + float(share) * (area[1] - area[0]))
        tall, wide = max(1, round(height * factor)), max(1, round(width * factor))
        top, left = (
            int(pick(u.reshape(1), free + 1)[0]) for u, free in ((down, height - tall), (across, width - wide))
        )
        zooms.append(Zoom(top, left, tall, wide, bool(turned < mirror)))
    return zooms


def zoom_batch(batch: LabelledBatch, zooms: Sequence[Zoom]) -> LabelledBatch:
    """Each image's part at the size of the images; objects of which hardly a pixel is left are dropped.

    Raises `ValueError` if there is not one zoom an image, or one reaches beyond it.
    """
    size_hw = (batch.images.shape[2], batch.images.shape[3])
    _check_parts(batch, [zoom[:4] for zoom in zooms])
    parts = []
    for image, target, zoom in zip(batch.images, batch.targets, zooms):
        cut = _cut(LabelledBatch(image[None], (target,)), [(zoom.top, zoom.left)], zoom.height, zoom.width)
        part = resize_batch(cut, size_hw)
        parts.append(mirror_batch(part) if zoom.mirrored else part)
    return labelled_batch(torch.cat([part.images for part in parts]), [part.targets[0] for part in parts])


def mirror_batch(batch: LabelledBatch) -> LabelledBatch:
    """Left and right exchanged, in images and labels."""
    targets = [PanopticTarget(each.semantic.flip(1), each.masks.flip(2), each.class_ids) for each in batch.targets]
    return LabelledBatch(batch.images.flip(3), tuple(targets))


def draw_crop(draws: Draws, images: int, size_hw: tuple[int, int], *, heights: tuple[int, int] = (512, 1024)) -> Crop:
    """One height of `heights` (least, largest; the image's at most) at the images' aspect ratio, and a place an image.

    Raises `ValueError` if the least height is below 1 or above the largest.
    """
    least, largest = heights
    if not 1 <= least <= largest:
        raise ValueError(f"Expected heights of a crop as (least, largest) from 1, but got {heights}.")
    least, largest = min(least, size_hw[0]), min(largest, size_hw[0])
    height = least + int(pick(draws(1), largest - least + 1)[0])
    width = max(1, round(height * size_hw[1] / size_hw[0]))
    free = (size_hw[0] - height + 1, size_hw[1] - width + 1)
    corners = [pick(draws(2), free).tolist() for _ in range(images)]
    return Crop(height, width, tuple((top, left) for top, left in corners))


def crop_batch(batch: LabelledBatch, crop: Crop) -> LabelledBatch:
    """The part of each image; objects of which hardly a pixel is left are dropped.

    Raises `ValueError` if there is not one corner an image, or a part reaches beyond its image.
    """
    _check_parts(batch, [(top, left, crop.height, crop.width) for top, left in crop.corners])
    cut = _cut(batch, crop.corners, crop.height, crop.width)
    return labelled_batch(cut.images, [without_specks(target) for target in cut.targets])


def _cut(batch: LabelledBatch, corners: Sequence[tuple[int, int]], height: int, width: int) -> LabelledBatch:
    images, targets = [], []
    for image, target, (top, left) in zip(batch.images, batch.targets, corners):
        rows, columns = slice(top, top + height), slice(left, left + width)
        images.append(image[:, rows, columns])
        targets.append(
            PanopticTarget(target.semantic[rows, columns], target.masks[:, rows, columns], target.class_ids)
        )
    return labelled_batch(torch.stack(images), targets)


def _check_parts(batch: LabelledBatch, parts: Sequence[tuple[int, int, int, int]]) -> None:
    height, width = batch.images.shape[2:]
    if len(parts) != len(batch.images):
        raise ValueError(f"Expected a part for each of {len(batch.images)} images, but got {len(parts)}.")
    for top, left, tall, wide in parts:
        if min(top, left) < 0 or min(tall, wide) < 1 or top + tall > height or left + wide > width:
            raise ValueError(f"Expected parts within {height} × {width}, but got {tall} × {wide} at ({top}, {left}).")
