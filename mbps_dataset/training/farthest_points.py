"""Positions spread evenly in space: farthest point sampling of a depth map (DepthG, Sick et al., CVPR 2024, section 3).

From a random first point, each next one is the point farthest from all chosen so far. Points are the cells of a grid over
the image, back-projected with their depth, so that a distant row of houses gets as many positions as the road in front.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


CELLS = 28
"""Cells along each side of the grid that positions are chosen from (ours)."""


def farthest_points(points: Tensor, count: int, first: Tensor) -> Tensor:
    """Indices int64 [B, count] of `points` [B, N, 3], `first` [B] being the first; all different while N lasts.

    Raises `ValueError` if `count` is more than N.
    """
    batch, total, _ = points.shape
    if count > total:
        raise ValueError(f"Expected at most {total} positions, as many as there are points, but got {count}.")
    rows = torch.arange(batch, device=points.device)
    chosen = [first.to(points.device)]
    nearest = torch.full((batch, total), torch.inf, device=points.device)
    for _ in range(count - 1):
        distance = (points - points[rows, chosen[-1]][:, None]).square().sum(dim=-1)
        nearest = torch.minimum(nearest, distance)
        nearest[rows, chosen[-1]] = -1  # also where points coincide, none comes twice
        chosen.append(nearest.argmax(dim=1))
    return torch.stack(chosen, dim=1)


def spread_positions(depth: Tensor, side: int, generator: torch.Generator | None = None) -> Tensor:
    """`side` x `side` positions for `correspondence.sample_at`: float32 [B, side, side, 2] in [-1, 1], from depth [B, 1, H, W].

    Rays have a field of view of 90° (windows have no camera of their own); a cell without depth lies in the farthest plane
    of its image. Raises `ValueError` for more positions than `CELLS` x `CELLS`.
    """
    batch = len(depth)
    grid = F.interpolate(depth, (CELLS, CELLS), mode="nearest")[:, 0]
    far = grid.flatten(1).amax(dim=1).clamp(min=1)[:, None, None]
    distance = torch.where(grid > 0, grid, far)
    ticks = (torch.arange(CELLS, device=depth.device) + 0.5) / CELLS * 2 - 1
    rows, columns = torch.meshgrid(ticks, ticks, indexing="ij")
    points = torch.stack([columns * distance, rows * distance, distance], dim=-1).flatten(1, 2)
    first = torch.randint(CELLS * CELLS, (batch,), generator=generator)
    index = farthest_points(points, side * side, first)
    places = torch.stack([columns, rows], dim=-1).flatten(0, 1)
    return places[index].unflatten(1, (side, side))
