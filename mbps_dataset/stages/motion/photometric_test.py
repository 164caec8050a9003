"""Do the images say that a part moves by itself? A second look, which needs neither flow nor disparity (ours).

Where flow or disparity went wrong, the camera's motion does not explain them, and a part seems to move. But then it is the
camera's motion that explains the images: at its right depth, whatever that is, each small patch of the left eye's image is
found again in the other three. So each patch is looked for at all depths, once as standing and once as moving with the part,

    cost(T) = min over d of the mean over right, next left and next right image of mean |ΔI|²,   ΔI without its mean

for colours I at the places that depth f B / d and motion T give the pixels of the patch. The gain of a part is the summed cost
of standing still over that of moving. It is about 1 where the images do not tell, such as on smooth surfaces.

An image in which a patch lies outside is left out; patches with fewer than two images count for nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from mbps_dataset.arrays import RGBImage


PATCH_PX = 7
PATCHES = 120
NEAREST_M = 2.0
"""Depth from which standing patches are looked for."""
LEAST_COST = 0.25
"""Added to the mean costs, in squared grey levels: what rounding alone may cost, so that flat images gain nothing."""

_STEP_PX = 1.0
_FINE_STEPS_PX = (-0.5, -0.25, 0.0, 0.25, 0.5)
_SLACK_PX = 2.0
_NEAR_PLANE_M = 0.5
_CORNERS = [0, PATCH_PX - 1, PATCH_PX * (PATCH_PX - 1), PATCH_PX**2 - 1]
"""Of a patch in raster order: lines stay lines, so a patch lies where its corners lie."""


@dataclass(frozen=True)
class StereoImages:
    """Left and right eye, now and one frame later, uint8 [H, W, 3] of one size. Raises `ValueError` if sizes differ."""

    left: RGBImage
    right: RGBImage
    next_left: RGBImage
    next_right: RGBImage

    def __post_init__(self) -> None:
        shapes = {np.shape(image) for image in (self.left, self.right, self.next_left, self.next_right)}
        if len(shapes) > 1 or len(next(iter(shapes))) != 3:
            raise ValueError(f"Expected four images (H, W, 3) of one size, but got {sorted(shapes)}.")

    @cached_property
    def tensors(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The four as float32 [3, H, W] in 0 … 255."""
        left, right, later, later_right = (
            torch.from_numpy(np.ascontiguousarray(np.moveaxis(image, -1, 0))).float()
            for image in (self.left, self.right, self.next_left, self.next_right)
        )
        return left, right, later, later_right


@dataclass(frozen=True)
class StereoView:
    """Images with the camera they were taken by: `intrinsics` [3, 3] px, `baseline` m."""

    images: StereoImages
    intrinsics: NDArray[np.floating]
    baseline: float

    def gain(
        self,
        standing: NDArray[np.floating],
        moving: NDArray[np.floating],
        pixels: NDArray[np.generic],
        disparities: NDArray[np.floating],
    ) -> float:
        """Cost of `standing` over that of `moving` [4, 4] at evenly chosen `pixels` [2, N] (column, row); see the head.

        `disparities` [N] px are those measured: moving patches are looked for within their range, standing ones anywhere.
        0 where no patch can be judged.
        """
        chosen = np.linspace(0, pixels.shape[1] - 1, min(pixels.shape[1], PATCHES)).astype(np.int64)
        places, known = torch.from_numpy(pixels[:, chosen]).float(), disparities[chosen]
        nearest = float(self.intrinsics[0, 0]) * self.baseline / NEAREST_M
        anywhere = np.arange(0.5, max(nearest, float(known.max())) + _SLACK_PX, _STEP_PX)
        own = np.arange(max(float(known.min()) - _SLACK_PX, 0.5), float(known.max()) + _SLACK_PX, _STEP_PX)
        still, moved = self._least_cost(standing, places, anywhere), self._least_cost(moving, places, own)
        judged = torch.isfinite(still) & torch.isfinite(moved)
        if not judged.any():
            return 0.0
        return float((still[judged].mean() + LEAST_COST) / (moved[judged].mean() + LEAST_COST))

    def _least_cost(self, motion: NDArray[np.floating], places: Tensor, searched: NDArray[np.float64]) -> Tensor:
        """Least cost of N patches over the disparities `searched`, [N]; then in finer steps around the best."""
        coarse = torch.from_numpy(searched).float().expand(places.shape[1], -1)
        best = coarse.gather(1, self._costs(motion, places, coarse).argmin(dim=1, keepdim=True))
        fine = (best + torch.tensor(_FINE_STEPS_PX)).clamp(min=0.1)
        return self._costs(motion, places, fine).amin(dim=1)

    def _costs(self, motion: NDArray[np.floating], places: Tensor, disparities: Tensor) -> Tensor:
        """Cost of N patches at D disparities each [N, D], infinite where fewer than two images show them."""
        left, *others = self.images.tensors
        reach = PATCH_PX // 2
        steps = torch.arange(-reach, reach + 1).float()
        down, right = (axis.ravel() for axis in torch.meshgrid(steps, steps, indexing="ij"))
        x, y = places[0][:, None] + right, places[1][:, None] + down
        patch, _ = _centred(left, x, y)
        total = torch.zeros(disparities.shape)
        count = torch.zeros(disparities.shape)
        for image, (at_x, at_y, in_front) in zip(others, self._seen_at(motion, x, y, disparities)):
            seen, inside = _centred(image, at_x, at_y)
            cost = seen.sub_(patch[:, :, None]).square_().mean(dim=(0, 3))
            shown = inside & in_front
            total += torch.where(shown, cost, torch.zeros(()))
            count += shown
        return torch.where(count >= 2, total / count.clamp(min=1), torch.tensor(torch.inf))

    def _seen_at(
        self, motion: NDArray[np.floating], x: Tensor, y: Tensor, disparities: Tensor
    ) -> tuple[tuple[Tensor, Tensor, Tensor], ...]:
        """Where right, next left and next right eye see pixels (x, y) [N, O]: x and y [N, D, O], and what is in front [N, D]."""
        fx, fy, cx, cy = (float(self.intrinsics[place]) for place in ((0, 0), (1, 1), (0, 2), (1, 2)))
        d = disparities[..., None]
        x, y = x[:, None], y[:, None]
        depth = fx * self.baseline / d
        ray = ((x - cx) / fx, (y - cy) / fy)
        moved = [
            (float(a) * ray[0] + float(b) * ray[1] + float(c)) * depth + float(shift) for a, b, c, shift in motion[:3]
        ]
        in_front = (moved[2][..., _CORNERS] > _NEAR_PLANE_M).all(dim=-1)
        later = moved[2].clamp(min=_NEAR_PLANE_M)
        later_x, later_y = fx * moved[0] / later + cx, fy * moved[1] / later + cy
        always = torch.ones_like(in_front)
        return (
            (x - d, y.expand(later_x.shape), always),
            (later_x, later_y, in_front),
            (later_x - fx * self.baseline / later, later_y, in_front),
        )


def _centred(image: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Colours [3, …, O] at places [..., O] without each patch's mean, and whether the whole patch lies inside, [...]."""
    height, width = image.shape[1:]
    grid = torch.empty((*x.shape, 2))
    torch.mul(x, 2 / max(width - 1, 1), out=grid[..., 0])
    torch.mul(y, 2 / max(height - 1, 1), out=grid[..., 1])
    grid = grid.sub_(1).reshape(1, 1, -1, 2)
    read = functional.grid_sample(image[None], grid, align_corners=True, padding_mode="border")
    colours = read[0, :, 0].reshape(len(image), *x.shape)
    x, y = x[..., _CORNERS], y[..., _CORNERS]
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    return colours.sub_(colours.mean(dim=-1, keepdim=True)), inside.all(dim=-1)
