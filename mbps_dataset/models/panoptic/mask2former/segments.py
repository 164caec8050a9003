"""What a Mask2Former is to find in an image: its things, one segment for each stuff class, and where nothing is known.

Decisions made here (ours): everything is in cells of the predicted masks, each with the value of the pixel at its middle; a cell
of a thing class that belongs to no thing is certainly in no other segment, but may well be a thing that nobody labelled, so it is
`unsettled`, as void is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from mbps_dataset.models.panoptic.network import VOID, PanopticTarget
from mbps_dataset.resizing import nearest_indices


@dataclass(frozen=True, eq=False)
class Segments:
    """`masks` float32 [N, P] of 0 and 1 over the P known cells, `class_ids` int64 [N]; `known` and `unsettled` bool [h · w]."""

    masks: Tensor
    class_ids: Tensor
    known: Tensor
    unsettled: Tensor


def cell_segments(target: PanopticTarget, thing_ids: Iterable[int], height: int, width: int) -> Segments:
    """The segments of an image in `height` × `width` cells; things first, then stuff by class id."""
    device = target.semantic.device
    rows, columns = (
        torch.from_numpy(nearest_indices(size, count)).to(device)
        for size, count in zip(target.semantic.shape, (height, width))
    )
    semantic = target.semantic[rows][:, columns].flatten()
    things = target.masks[:, rows][:, :, columns].flatten(1)
    known, owned = semantic != VOID, things.any(0)
    of_things = torch.isin(semantic, torch.tensor(sorted(thing_ids), dtype=semantic.dtype, device=device))
    stuff_ids = torch.unique(semantic[known & ~of_things & ~owned])
    stuff = (semantic == stuff_ids[:, None]) & ~owned
    masks, class_ids = torch.cat([things, stuff])[:, known], torch.cat([target.class_ids, stuff_ids])
    kept = masks.any(1)
    return Segments(masks[kept].float(), class_ids[kept], known, ~known | (of_things & ~owned))
