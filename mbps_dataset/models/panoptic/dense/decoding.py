"""From a dense network's maps to segments: centres, pixels grouped around them, classes by majority.

After Panoptic-DeepLab (Cheng et al., CVPR 2020, 3.3). Decisions made here (ours):

* a pixel is of a thing if the thing classes together are probable enough: clusters may share one kind of thing among
  them, and few things are labelled where only what moved is;
* a pixel that points farther than `reach` from every centre belongs to no thing; it is stuff if a stuff class is the most
  probable one, and else void;
* a thing's class is the commonest most probable thing class of its pixels (the lower id of equals), its score the height of
  its centre times the mean over its pixels of the probability that they are of a thing at all: the paper's is that of the class,
  which says little where clusters share one kind of thing. One of too low a score is left out of the map.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from mbps_dataset.models.panoptic.dense.config import DenseConfig
from mbps_dataset.models.panoptic.dense.targets import cell_positions
from mbps_dataset.models.panoptic.network import PanopticPrediction
from mbps_dataset.stages.instances.types import Instances
from mbps_dataset.stages.panoptic import Panoptic


@dataclass(frozen=True, eq=False)
class Centres:
    """`positions` float32 [N, 2] (row, column; pixels) and `heights` float32 [N], highest first."""

    positions: Tensor
    heights: Tensor


def find_centres(heights: Tensor, *, threshold: float, window: int, most: int) -> Centres:
    """Cells of a centre map [h, w] that are the highest of their `window` and at least `threshold`, the `most` highest."""
    peaks = functional.max_pool2d(heights[None, None], window, 1, window // 2)[0, 0]
    rows, columns = torch.nonzero((heights == peaks) & (heights >= threshold), as_tuple=True)
    order = torch.argsort(heights[rows, columns], descending=True, stable=True)[:most]
    down, right = (cell_positions(count, heights.device) for count in heights.shape)
    rows, columns = rows[order], columns[order]
    return Centres(torch.stack([down[rows], right[columns]], dim=1), heights[rows, columns])


def group_pixels(offsets: Tensor, of_things: Tensor, centres: Centres, *, reach: float) -> Tensor:
    """Number of the centre that each pixel points at: offsets [2, H, W], bool [H, W] → int64 [H, W], −1 for none."""
    owners = torch.full(of_things.shape, -1, dtype=torch.int64, device=offsets.device)
    if not len(centres.heights):
        return owners
    places = torch.nonzero(of_things)
    pointed_at = places + offsets[:, places[:, 0], places[:, 1]].T
    distances, nearest = torch.cdist(pointed_at, centres.positions).min(1)
    owners[places[:, 0], places[:, 1]] = torch.where(distances <= reach, nearest, -1)
    return owners


def decode(probabilities: Tensor, heights: Tensor, offsets: Tensor, config: DenseConfig) -> PanopticPrediction:
    """Maps of one image: probabilities [K, H, W] and offsets [2, H, W] by pixel, heights [h, w] of centres by cell."""
    is_thing = torch.zeros(len(probabilities), dtype=torch.bool, device=probabilities.device)
    is_thing[list(config.thing_ids)] = True
    of_things = (probabilities * is_thing[:, None, None]).sum(0)
    centres = find_centres(
        heights, threshold=config.centre_threshold, window=config.centre_window, most=config.most_centres
    )
    owners = group_pixels(offsets, of_things > config.thing_threshold, centres, reach=config.reach)
    instances = _things(probabilities, owners, centres, is_thing, config.min_thing_area)
    best = probabilities.argmax(0)
    stuff = torch.where(is_thing[best], -1, best).cpu().numpy()
    return PanopticPrediction(_painted(instances, stuff, config), probabilities, instances)


def _things(probabilities: Tensor, owners: Tensor, centres: Centres, is_thing: Tensor, min_area: int) -> Instances:
    """The groups of at least `min_area` pixels, with class and score, by falling score."""
    inside = owners >= 0
    numbers, inner = owners[inside], probabilities[:, inside]
    count, classes = len(centres.heights), len(probabilities)
    best, of_things = inner.masked_fill(~is_thing[:, None], -1).argmax(0), inner[is_thing].sum(0)
    votes = torch.bincount(numbers * classes + best, minlength=count * classes).reshape(count, classes)
    areas, class_ids = votes.sum(1), votes.argmax(1)
    sums = torch.zeros(count, dtype=torch.float64, device=numbers.device)
    sums.index_add_(0, numbers, of_things.double())
    scores = centres.heights.double().clamp(0, 1) * sums / areas.clamp(min=1)
    kept = torch.nonzero(areas >= min_area)[:, 0]
    kept = kept[torch.argsort(scores[kept], descending=True, stable=True)]
    flat = owners.flatten().cpu().numpy()
    order = np.argsort(flat, kind="stable")
    bounds = np.searchsorted(flat[order], np.arange(count + 1))
    pixels = [order[bounds[number] : bounds[number + 1]] for number in kept.tolist()]
    shape = (owners.shape[0], owners.shape[1])
    return Instances.from_pixels(shape, pixels, class_ids[kept].cpu().numpy(), scores[kept].cpu().numpy())


def _painted(instances: Instances, stuff: np.ndarray, config: DenseConfig) -> Panoptic:
    """Things of enough score, then stuff classes of enough pixels (`stuff` int64 [H, W], −1 where there is none)."""
    kept = instances.select(instances.scores >= config.score_threshold)
    segment_map = np.zeros(stuff.shape, dtype=np.int32)
    for number, pixels in enumerate(kept, start=1):
        segment_map.ravel()[pixels] = number
    stuff = np.where(segment_map > 0, -1, stuff)
    found, areas = np.unique(stuff[stuff >= 0], return_counts=True)
    found = found[areas >= config.min_stuff_area]
    for number, class_id in enumerate(found.tolist(), start=len(kept) + 1):
        segment_map[stuff == class_id] = number
    class_ids, scores = [*kept.class_ids.tolist(), *found.tolist()], [*kept.scores.tolist(), *[1.0] * len(found)]
    return Panoptic.from_map(segment_map, class_ids, [True] * len(kept) + [False] * len(found), scores)
