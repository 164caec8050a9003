"""Camera motion by direct image alignment: Gauss-Newton on photometric residuals, given depth and a first guess.

A small pose network that starts from nothing takes longer to learn than the depth network it teaches. Given depth, the
motion of a camera needs no learning: six numbers that make two pictures agree. So the network's guess is refined, and
the network learns from the refined motion (Wang et al., "Learning depth from monocular videos using direct methods",
CVPR 2018, does so within the network). Only pictures, intrinsics and the predicted depth enter.

Decisions made here, all ours: grey pictures, coarse to fine; forward-compositional steps (Baker and Matthews, 2004);
Huber weights with a scale from the median residual, so that moving objects count little; Levenberg damping; a weak
pull of each step towards no rotation, since cars turn little between two frames; no gradient flows through it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from mbps_dataset.training.photometric import backproject, project, rigid_transform, warp


DAMPING = 1e-3  # relative to the diagonal of the normal equations
ROTATION_SIGMA = 0.02  # radians per frame: the spread of rotations that is expected
HUBER = 1.345  # robust standard deviations


@torch.no_grad()
def refine_motion(
    current: Tensor,
    neighbour: Tensor,
    depth: Tensor,
    intrinsics: Tensor,
    transform: Tensor,
    *,
    levels: Sequence[tuple[int, int]] = ((4, 4), (2, 3)),
    forward_only: bool = False,
) -> Tensor:
    """Motion from the current camera to the neighbour's that makes their pictures agree.

    Args:
        current, neighbour: [B, 3, H, W] in [0, 1].
        depth: of the current frame, [B, 1, h, w] > 0, any size.
        intrinsics: [B, 3, 3] in pixels of the frames.
        transform: first guess [B, 4, 4].
        levels: (how often smaller the pictures, number of steps), coarse to fine.
        forward_only: find only how far the camera drives along its axis, without turning; with depth that is still
            mostly wrong, all six numbers would explain the errors of depth instead of the motion.

    Returns:
        [B, 4, 4]; the first guess where the refined motion does not fit better.
    """
    if forward_only:
        transform = _straight_ahead(transform)
    guess = transform
    for factor, steps in levels:
        first, second = (_grey(frames, factor) for frames in (current, neighbour))
        scaled = _shrunk_intrinsics(intrinsics, factor)
        points = backproject(F.interpolate(depth, first.shape[-2:], mode="area"), torch.linalg.inv(scaled))
        for _ in range(steps):
            transform = _gauss_newton_step(first, second, points, scaled, transform, forward_only)
    better = _misfit(first, second, points, scaled, transform) < _misfit(first, second, points, scaled, guess)
    return torch.where(better[:, None, None], transform, guess)


def _straight_ahead(transform: Tensor) -> Tensor:
    straight = torch.eye(4, dtype=transform.dtype, device=transform.device).repeat(len(transform), 1, 1)
    straight[:, 2, 3] = transform[:, 2, 3]
    return straight


def _gauss_newton_step(
    first: Tensor, second: Tensor, points: Tensor, intrinsics: Tensor, transform: Tensor, forward_only: bool
) -> Tensor:
    height, width = first.shape[-2:]
    grid = project(points, intrinsics, transform, (height, width))
    moved = transform[:, :3, :3] @ points + transform[:, :3, 3:]
    inside = (grid.abs().amax(3) < 1).flatten(1) & (moved[:, 2] > 1e-6)
    sampled = warp(torch.cat([second, *_slopes(second)], 1), grid).flatten(2)
    residual = sampled[:, 0] - first.flatten(1)
    jacobian = _jacobian(sampled[:, 1], sampled[:, 2], moved, intrinsics)
    if forward_only:
        jacobian = jacobian * jacobian.new_tensor([0, 0, 1, 0, 0, 0])[None, :, None]
    weights = _huber_weights(residual, inside)
    weighted = jacobian * weights[:, None]
    normal = weighted @ jacobian.transpose(1, 2)
    right = -(weighted @ residual[:, :, None])
    step = _solve(normal, right, rotation=_axis_angle(transform), scale=_residual_scale(residual, inside))
    return rigid_transform(step[:, 3:], step[:, :3]) @ transform


def _misfit(first: Tensor, second: Tensor, points: Tensor, intrinsics: Tensor, transform: Tensor) -> Tensor:
    """Mean absolute residual [B]; infinite if less than half of the picture stays in view."""
    grid = project(points, intrinsics, transform, (first.shape[-2], first.shape[-1]))
    inside = (grid.abs().amax(3) < 1).flatten(1)
    residual = (warp(second, grid) - first).abs().flatten(1)
    share = inside.float().mean(1)
    return torch.where(share > 0.5, (residual * inside).mean(1) / share.clamp(min=1e-6), torch.inf)


def _jacobian(slope_u: Tensor, slope_v: Tensor, moved: Tensor, intrinsics: Tensor) -> Tensor:
    """Change of the looked-up grey value per translation and rotation of the neighbour's camera: [B, 6, N]."""
    x, y, z = moved.unbind(1)
    inverse = 1 / z.clamp(min=1e-6)
    along_x = slope_u * intrinsics[:, 0, 0, None] * inverse
    along_y = slope_v * intrinsics[:, 1, 1, None] * inverse
    along_z = -(along_x * x + along_y * y) * inverse
    about_x = along_z * y - along_y * z
    about_y = along_x * z - along_z * x
    about_z = along_y * x - along_x * y
    return torch.stack([along_x, along_y, along_z, about_x, about_y, about_z], 1)


def _residual_scale(residual: Tensor, inside: Tensor) -> Tensor:
    """Robust standard deviation of the residuals [B]."""
    return 1.4826 * residual.abs().masked_fill(~inside, float("nan")).nanmedian(1).values.nan_to_num(1.0) + 1e-4


def _huber_weights(residual: Tensor, inside: Tensor) -> Tensor:
    bound = HUBER * _residual_scale(residual, inside)[:, None]
    return torch.where(inside, (bound / residual.abs().clamp(min=1e-6)).clamp(max=1), torch.zeros_like(residual))


def _solve(normal: Tensor, right: Tensor, *, rotation: Tensor, scale: Tensor) -> Tensor:
    """Damped step [B, 6]; zero where the equations have no finite solution."""
    pull = (scale / ROTATION_SIGMA).square()[:, None]
    prior = torch.cat([torch.zeros_like(rotation), pull.expand_as(rotation)], 1)
    diagonal = normal.diagonal(dim1=1, dim2=2)
    damped = normal + torch.diag_embed(DAMPING * diagonal + prior + 1e-8)
    target = right[:, :, 0] - prior * torch.cat([torch.zeros_like(rotation), rotation], 1)
    step, failed = torch.linalg.solve_ex(damped, target)
    return torch.where(((failed == 0) & step.isfinite().all(1))[:, None], step, torch.zeros_like(step))


def _axis_angle(transform: Tensor) -> Tensor:
    """Axis times angle of a small rotation, to first order: [B, 4, 4] -> [B, 3]."""
    rotation = transform[:, :3, :3]
    skew = (rotation - rotation.transpose(1, 2)) / 2
    return torch.stack([skew[:, 2, 1], skew[:, 0, 2], skew[:, 1, 0]], 1)


def _grey(frames: Tensor, factor: int) -> Tensor:
    grey = frames.mean(1, keepdim=True)
    return F.avg_pool2d(grey, factor) if factor > 1 else grey


def _shrunk_intrinsics(intrinsics: Tensor, factor: int) -> Tensor:
    scaled = intrinsics[:, :3, :3].clone()
    scaled[:, :2] /= factor
    scaled[:, :2, 2] += 0.5 / factor - 0.5
    return scaled


def _slopes(image: Tensor) -> tuple[Tensor, Tensor]:
    """Central differences along u and v, the border repeated; same shape."""
    padded = F.pad(image, (1, 1, 1, 1), mode="replicate")
    along_u = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2
    along_v = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2
    return along_u, along_v
