"""Photometric consistency of video: the only teacher of the depth network.

If the depth of a frame and the motion of the camera are right, the neighbouring frame, looked up where each pixel
lands, shows the same picture. These functions say how wrong it is. They are pure: tensors in, tensors out.

Decisions and where they come from:

1. Error = 0.85 SSIM + 0.15 L1 (Monodepth2), with the 7x7 window of the SPIdepth reference code instead of 3x3.
2. Per pixel the smallest error over the neighbours counts, and a neighbour that already fits *without* being moved
   (a car driving along, a standing camera) switches the pixel off: minimum reprojection with auto-masking (Monodepth2).
3. Smoothness acts on mean-normalised **depth**, not disparity (reference code).
4. Pixel coordinates are integers at pixel centres and ``grid_sample`` aligns corners, as the reference code does.
   Hence intrinsics with the principal point measured from the centre of the first pixel are the exact ones.
5. The translation of the pose network is multiplied by the image's mean inverse depth (reference code), which ties
   the scale of the motion to that of the depth.
6. The SSIM window is summed along rows, then columns, with its own gradient (ours): the same numbers, and several
   times faster on a processor than two-dimensional average pooling, which otherwise takes most of a training step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


SSIM_WINDOW = 7
SSIM_C1 = 0.01**2
SSIM_C2 = 0.03**2
SSIM_SHARE = 0.85


def structural_dissimilarity(first: Tensor, second: Tensor) -> Tensor:
    """``clip((1 - SSIM) / 2, 0, 1)`` in a 7x7 mean window with reflected borders; both [B, C, H, W] in [0, 1]."""
    mean_first, mean_second = _window_mean(first), _window_mean(second)
    variance_first = _window_mean(first * first) - mean_first * mean_first
    variance_second = _window_mean(second * second) - mean_second * mean_second
    covariance = _window_mean(first * second) - mean_first * mean_second
    numerator = (2 * mean_first * mean_second + SSIM_C1) * (2 * covariance + SSIM_C2)
    denominator = (mean_first**2 + mean_second**2 + SSIM_C1) * (variance_first + variance_second + SSIM_C2)
    return ((1 - numerator / denominator) / 2).clamp(0, 1)


def photometric_error(predicted: Tensor, target: Tensor) -> Tensor:
    """``0.85 * dissimilarity + 0.15 * |difference|``, channel means; two [B, C, H, W] in [0, 1] -> [B, 1, H, W]."""
    if predicted.shape != target.shape:
        raise ValueError(
            f"Expected `predicted` and `target` to share a shape, but got {tuple(predicted.shape)} and "
            f"{tuple(target.shape)}; resize one of them."
        )
    difference = (target - predicted).abs().mean(1, keepdim=True)
    dissimilarity = structural_dissimilarity(predicted, target).mean(1, keepdim=True)
    return SSIM_SHARE * dissimilarity + (1 - SSIM_SHARE) * difference


def rotation_matrix(axis_angle: Tensor) -> Tensor:
    """Rodrigues' formula: axis times angle in radians [B, 3] -> rotation [B, 3, 3]; differentiable at zero."""
    angle = (axis_angle.square().sum(1) + 1e-16).sqrt()[:, None, None]
    x, y, z = (axis_angle / angle[:, :, 0]).unbind(1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], 1).view(-1, 3, 3)
    identity = torch.eye(3, dtype=axis_angle.dtype, device=axis_angle.device)
    return identity + angle.sin() * cross + (1 - angle.cos()) * (cross @ cross)


def rigid_transform(axis_angle: Tensor, translation: Tensor, *, invert: bool = False) -> Tensor:
    """Camera motion as a matrix: axis-angle [B, 3] and translation [B, 3] -> [B, 4, 4] ``x' = R x + t``, or its inverse.

    The pose network always sees two frames in temporal order; ``invert`` gives the motion towards the earlier one.
    """
    rotation = rotation_matrix(axis_angle)
    if invert:
        rotation = rotation.transpose(1, 2)
        translation = -(rotation @ translation[:, :, None])[:, :, 0]
    transform = torch.eye(4, dtype=rotation.dtype, device=rotation.device).repeat(len(rotation), 1, 1)
    transform[:, :3, :3] = rotation
    transform[:, :3, 3] = translation
    return transform


def scale_translation(translation: Tensor, depth: Tensor) -> Tensor:
    """Multiply translation [B, 3] by each image's mean inverse depth, depth [B, 1, h, w] > 0 (reference code)."""
    return translation * (1 / depth).mean((1, 2, 3))[:, None]


def backproject(depth: Tensor, inverse_intrinsics: Tensor) -> Tensor:
    """Points ``depth * K^-1 [u, v, 1]`` in camera coordinates; [B, 1, H, W] and [B, 3, 3] -> [B, 3, H * W]."""
    height, width = depth.shape[-2:]
    rows = torch.arange(height, dtype=depth.dtype, device=depth.device)
    columns = torch.arange(width, dtype=depth.dtype, device=depth.device)
    v, u = torch.meshgrid(rows, columns, indexing="ij")
    pixels = torch.stack([u.flatten(), v.flatten(), torch.ones(height * width, dtype=u.dtype, device=u.device)])
    return depth.flatten(2) * (inverse_intrinsics[:, :3, :3] @ pixels)


def project(points: Tensor, intrinsics: Tensor, transform: Tensor, height_width: tuple[int, int]) -> Tensor:
    """Where moved points land in the other frame, as a sampling grid.

    Args:
        points: [B, 3, H * W] in the first camera's coordinates.
        intrinsics: [B, 3, 3] of the other camera, in pixels.
        transform: [B, 4, 4] from the first camera to the other.
        height_width: (H, W) of the points and of the other frame.

    Returns:
        [B, H, W, 2] (x, y), -1 and 1 at the centres of the outermost pixels.
    """
    height, width = height_width
    moved = intrinsics[:, :3, :3] @ (transform[:, :3, :3] @ points + transform[:, :3, 3:])
    pixels = moved[:, :2] / (moved[:, 2:] + 1e-7)
    extent = torch.tensor([width - 1, height - 1], dtype=pixels.dtype, device=pixels.device)
    grid = pixels.view(-1, 2, height, width).permute(0, 2, 3, 1)
    return (grid / extent - 0.5) * 2


def warp(source: Tensor, grid: Tensor) -> Tensor:
    """Look the source [B, C, H, W] up at ``grid`` [B, H, W, 2]: bilinear, border repeated, corners aligned."""
    return F.grid_sample(source, grid, padding_mode="border", align_corners=True)


def view_synthesis(source: Tensor, depth: Tensor, intrinsics: Tensor, transform: Tensor) -> Tensor:
    """The current frame painted from a neighbour: source [B, C, H, W], depth of the current frame [B, 1, H, W]."""
    points = backproject(depth, torch.linalg.inv(intrinsics[:, :3, :3]))
    height, width = depth.shape[-2:]
    return warp(source, project(points, intrinsics, transform, (height, width)))


def minimum_reprojection(
    warped_errors: Sequence[Tensor], identity_errors: Sequence[Tensor] = (), *, tie_break: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Per pixel the smallest error over unmoved neighbours (first) and warped neighbours.

    Args:
        warped_errors: one [B, 1, H, W] per neighbour.
        identity_errors: the same for the unmoved neighbours; empty switches auto-masking off.
        tie_break: [B, len(identity_errors), H, W] added to the identity errors; the reference draws 1e-5 x normal,
            so that a pixel that fits equally well with and without motion is not always switched off.

    Returns:
        (smallest error [B, H, W], index of the winner [B, H, W]; below ``len(identity_errors)`` = switched off).
    """
    if not warped_errors:
        raise ValueError("Expected at least one warped neighbour, but got none; pass the previous or the next frame.")
    candidates = list(warped_errors)
    if identity_errors:
        identity = torch.cat(list(identity_errors), 1)
        candidates.insert(0, identity if tie_break is None else identity + tie_break)
    smallest, winner = torch.cat(candidates, 1).min(1)
    return smallest, winner


def edge_aware_smoothness(depth: Tensor, image: Tensor) -> Tensor:
    """Mean ``|d depth| exp(-|d image|)`` along x plus along y, on depth divided by its mean.

    depth [B, 1, H, W] > 0, image [B, C, H, W] in [0, 1]; the image gradient is the channel mean. Scalar.
    """
    normalised = depth / (depth.mean((2, 3), keepdim=True) + 1e-7)
    loss = depth.new_zeros(())
    for axis in (2, 3):
        depth_step = normalised.diff(dim=axis).abs()
        image_step = image.diff(dim=axis).abs().mean(1, keepdim=True)
        loss = loss + (depth_step * torch.exp(-image_step)).mean()
    return loss


def _window_mean(values: Tensor) -> Tensor:
    margin = SSIM_WINDOW // 2
    if min(values.shape[-2:]) <= margin:
        raise ValueError(
            f"Expected images of more than {margin} x {margin} pixels, but got {tuple(values.shape[-2:])}; "
            "use larger frames."
        )
    return _BoxMean.apply(F.pad(values, (margin,) * 4, mode="reflect"))


class _BoxMean(torch.autograd.Function):
    """Mean over a window at every position where it fits; the gradient is the same sum over the zero-padded one."""

    @staticmethod
    def forward(context: Any, padded: Tensor) -> Tensor:
        return _box_sum(padded).mul_(1 / SSIM_WINDOW**2)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        return _box_sum(F.pad(gradient, (SSIM_WINDOW - 1,) * 4)).mul_(1 / SSIM_WINDOW**2)


def _box_sum(values: Tensor) -> Tensor:
    for axis in (-1, -2):
        length = values.shape[axis] - SSIM_WINDOW + 1
        summed = values.narrow(axis, 0, length).clone()
        for offset in range(1, SSIM_WINDOW):
            summed += values.narrow(axis, offset, length)
        values = summed
    return values
