"""Depth without labels: SPIdepth learned from video by photometric consistency.

A depth network looks at one frame, a pose network at two neighbours; together they must explain frames -1 and +1 from
frame 0. Only `VideoTriplet`s enter: three frames and intrinsics.

Decisions and where they come from:

1. One scale; depth bilinearly upsampled to the frame before warping; smallest error over both neighbours and the
   unmoved frames; smoothness weight 1e-3 (SPIdepth reference code, after Monodepth2).
2. Pose input always in temporal order; the inverse motion leads to frame -1 (reference code).
3. Adam at 1e-4 with x0.1 steps (reference code), or a short warm-up and a cosine (ours; ten times shorter runs).
4. Flip 0.5 and colour jitter 0.5; jittered frames go to the networks, original ones to the loss (reference code).
5. Gradients of each network are clipped to norm 1 (ours): the first steps, with a pose network that knows nothing, are rough.
6. On request, coarse to fine (ours): early steps compare frames of a quarter, then of half the size. A network that
   knows nothing misses by tens of pixels, and only a coarse picture tells it in which direction.
7. On request the motion that explains the frames is the pose network's guess after direct image alignment (see
   `direct_alignment`), and the pose network learns to guess that. While the coarsest frames are compared, alignment
   changes the forward speed only. Neither depth nor motion then has a scale of its own, so batches are held to a
   typical depth.
8. On request plain surfaces above the principal point are pulled away from the camera: a sky looks the same at every
   depth, so nothing else keeps it from coming near. A plain wall up there is pulled too, and held by its edges.
9. Everything random is drawn from torch's default generator under one seed, and checkpoints hold its state, so one
   seed gives one result, interrupted or not.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mbps_dataset.settings import Settings, setting
from mbps_dataset.training.checkpointing import Checkpoint, seeded
from mbps_dataset.training.colour_jitter import jitter_triplets
from mbps_dataset.training.direct_alignment import refine_motion
from mbps_dataset.training.photometric import (
    backproject,
    edge_aware_smoothness,
    minimum_reprojection,
    photometric_error,
    project,
    rigid_transform,
    scale_translation,
    warp,
)
from mbps_dataset.training.progress import TrainingProgress
from mbps_dataset.training.triplets import ShuffledOrder, TripletBatch, VideoTriplet


TIE_BREAK_NOISE = 1e-5
PLAIN = 0.02  # standard deviation of grey values in [0, 1]
SCALE_WEIGHT = 0.1  # of the squared distance of log depth from the typical one


@dataclass(frozen=True)
class SPIdepthTrainingSettings(Settings):
    """How long and how fast; defaults of the reference code unless the field says otherwise."""

    steps: int = setting(50_000, "optimiser steps", source="SPIdepth", at_least=1)
    batch_size: int = setting(12, "triplets per step", source="SPIdepth", at_least=1)
    learning_rate: float = setting(1e-4, "of Adam", source="SPIdepth", at_least=0)
    pose_rate: float = setting(1.0, "learning rate of the pose network, relative", source="ours", at_least=0)
    schedule: str = setting("step", "'step': x0.1 every decay_steps; 'cosine': to zero", source="SPIdepth",
                            choices=("step", "cosine"))  # fmt: skip
    decay_steps: int = setting(25_000, "for 'step'", unit="optimiser steps", source="SPIdepth", at_least=1)
    warmup_steps: int = setting(
        0, "linear rise of the learning rate", unit="optimiser steps", source="ours", at_least=0
    )
    smoothness: float = setting(1e-3, "weight of the edge-aware smoothness of depth", source="SPIdepth", at_least=0)
    quarter_until: float = setting(
        0.0, "share of the steps that compare frames of a quarter of the size", source="ours", at_least=0, at_most=1
    )
    half_until: float = setting(
        0.0, "share of the steps after which frames are compared at full size", source="ours", at_least=0, at_most=1
    )
    align: bool = setting(
        False, "refine the pose network's guess by direct image alignment, and teach it that", source="ours"
    )
    typical_depth: float = setting(
        0.0, "geometric mean of depth that batches are held to, since aligned motion leaves scale free; 0 = none",
        unit="metres where the training knows them", source="ours", at_least=0,
    )  # fmt: skip
    far_sky: float = setting(
        0.0, "weight of the nearness of plain surfaces above the principal point", source="ours", at_least=0
    )
    flip: float = setting(0.5, "probability of mirroring a triplet", source="SPIdepth", at_least=0, at_most=1)
    jitter: float = setting(
        0.5, "probability of changing a triplet's colours", source="SPIdepth", at_least=0, at_most=1
    )
    clip_norm: float = setting(1.0, "largest gradient norm of either network; 0 = any", source="ours", at_least=0)
    seed: int = setting(0, "seed of order, augmentation, dropout and tie-breaking", at_least=0)


def train_spidepth(
    depth_network: nn.Module,
    pose_network: nn.Module,
    triplets: Sequence[VideoTriplet],
    settings: SPIdepthTrainingSettings,
    *,
    checkpoint_path: str | os.PathLike[str] | None = None,
    checkpoint_every: int = 200,
    show_progress: bool = True,
) -> dict[str, float]:
    """Train both networks in place.

    Args:
        depth_network: images [B, 3, H, W] in [0, 1] -> depth [B, 1, h, w] > 0, up to scale.
        pose_network: two stacked frames [B, 6, H, W] -> axis-angle and translation, each [B, 3].
        triplets: all of one size; indexed, so they may be read from disk on demand.
        settings: see `SPIdepthTrainingSettings`.
        checkpoint_path: file to save to and to continue from; the result is that of an uninterrupted run.
        checkpoint_every: steps between two saves.
        show_progress: a progress bar with the running losses.

    Returns:
        The running means of the losses: ``loss``, ``photometric``, ``smoothness``, ``moving`` (share of pixels that
        auto-masking leaves on), and ``motion`` (distance of the pose network's guess) where that is learned.
    """
    with seeded(settings.seed):
        groups: list[dict[str, Any]] = [
            {"params": _parameters(depth_network)},
            {"params": _parameters(pose_network), "lr": settings.pose_rate * settings.learning_rate},
        ]
        optimiser = torch.optim.Adam(groups, settings.learning_rate)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: learning_rate_factor(step, settings))
        order = ShuffledOrder(len(triplets))
        checkpoint = Checkpoint(
            checkpoint_path, settings=asdict(settings), every=checkpoint_every, depth=depth_network,
            pose=pose_network, optimiser=optimiser, schedule=schedule, order=order,
        )  # fmt: skip
        depth_network.train()
        pose_network.train()
        with TrainingProgress("depth", start=checkpoint.resume(), stop=settings.steps, show=show_progress) as progress:
            for step in progress:
                batch = TripletBatch.of(
                    [triplets[index] for index in order.take(settings.batch_size)],
                    next(depth_network.parameters()).device,
                )
                losses = training_step(depth_network, pose_network, batch, optimiser, settings, step)
                schedule.step()
                progress.report(losses)
                if step + 1 < settings.steps:
                    checkpoint.step_done(step + 1)
        checkpoint.save(settings.steps)
    depth_network.eval()
    pose_network.eval()
    return progress.smoothed


def training_step(
    depth_network: nn.Module,
    pose_network: nn.Module,
    batch: TripletBatch,
    optimiser: torch.optim.Optimizer,
    settings: SPIdepthTrainingSettings,
    step: int,
) -> dict[str, float]:
    """Augment, compute the loss, move the weights once; returns the losses as numbers."""
    device = batch.frames.device
    batch = batch.mirrored((torch.rand(len(batch.frames)) < settings.flip).to(device))
    seen = jitter_triplets(batch.frames, (torch.rand(len(batch.frames)) < settings.jitter).to(device))
    factor = shrink_factor(step, settings)
    losses = training_losses(
        depth_network, pose_network, batch, seen=seen, shrink=factor, smoothness_weight=settings.smoothness,
        align=settings.align, forward_only=factor == 4, typical_depth=settings.typical_depth, sky_weight=settings.far_sky,
    )  # fmt: skip
    optimiser.zero_grad(set_to_none=True)
    losses["loss"].backward()
    if settings.clip_norm:
        for network in (depth_network, pose_network):
            nn.utils.clip_grad_norm_(_parameters(network), settings.clip_norm)
    optimiser.step()
    return {name: float(value.detach()) for name, value in losses.items()}


def training_losses(
    depth_network: nn.Module,
    pose_network: nn.Module,
    batch: TripletBatch,
    *,
    seen: Tensor | None = None,
    shrink: int = 1,
    smoothness_weight: float = 1e-3,
    align: bool = False,
    forward_only: bool = False,
    typical_depth: float = 0.0,
    sky_weight: float = 0.0,
) -> dict[str, Tensor]:
    """Photometric error of both neighbours plus weighted smoothness.

    Args:
        depth_network, pose_network: as for `train_spidepth`.
        batch: the frames to compare.
        seen: [B, 3, 3, H, W], the same frames as the networks see them; default: as they are.
        shrink: compare frames so many times smaller.
        smoothness_weight: of the smoothness of depth.
        align: explain the frames by the aligned motion, and add how far the pose network's guess is from it.
        forward_only: alignment changes the forward speed only.
        typical_depth: see `SPIdepthTrainingSettings`.
        sky_weight: of `nearness_of_sky`.

    Returns:
        Scalars ``loss``, ``photometric``, ``smoothness``, ``moving`` and, where they are learned, ``motion``, ``scale``
        and ``sky``.
    """
    seen = batch.frames if seen is None else seen
    depth = depth_network(seen[:, 1])
    transforms = neighbour_transforms(pose_network, seen, depth.detach() if align else depth)
    losses = {}
    if align:
        guessed = transforms
        transforms = aligned_transforms(batch, depth.detach(), guessed, forward_only=forward_only)
        losses["motion"] = motion_difference(guessed, transforms)
    if typical_depth:
        losses["scale"] = (depth.log().mean() - math.log(typical_depth)).square()
    compared = batch.shrunk(shrink)
    depth = resized_depth(depth, *compared.frames.shape[-2:])
    error, winner = reprojection_error(compared, depth, transforms)
    losses["photometric"] = error.mean()
    losses["smoothness"] = edge_aware_smoothness(depth, compared.frames[:, 1])
    loss = losses["photometric"] + smoothness_weight * losses["smoothness"]
    loss = loss + losses.get("motion", 0.0) + SCALE_WEIGHT * losses.get("scale", 0.0)
    if sky_weight:
        losses["sky"] = nearness_of_sky(depth, compared.frames[:, 1], compared.intrinsics)
        loss = loss + sky_weight * losses["sky"]
    return {"loss": loss, **losses, "moving": (winner >= 2).float().mean()}


def resized_depth(depth: Tensor, height: int, width: int) -> Tensor:
    """Depth [B, 1, h, w] at the size of the compared frames: bilinear up, averages down."""
    if depth.shape[-1] > width:
        return F.interpolate(depth, (height, width), mode="area")
    return F.interpolate(depth, (height, width), mode="bilinear", align_corners=False)


def neighbour_transforms(pose_network: nn.Module, seen: Tensor, depth: Tensor) -> tuple[Tensor, Tensor]:
    """Motion from frame 0 to frames -1 and +1, each [B, 4, 4]; seen [B, 3, 3, H, W], depth [B, 1, h, w]."""
    pairs = torch.cat([seen[:, :2].flatten(1, 2), seen[:, 1:].flatten(1, 2)])
    axis_angle, translation = pose_network(pairs)
    translation = scale_translation(translation, depth.repeat(2, 1, 1, 1))
    (turn_before, turn_after), (shift_before, shift_after) = axis_angle.chunk(2), translation.chunk(2)
    return rigid_transform(turn_before, shift_before, invert=True), rigid_transform(turn_after, shift_after)


def aligned_transforms(
    batch: TripletBatch, depth: Tensor, guessed: tuple[Tensor, Tensor], *, forward_only: bool
) -> tuple[Tensor, Tensor]:
    """The guessed motions after direct image alignment on the frames as they are; no gradient flows."""
    previous, current, following = batch.frames.unbind(1)
    refined = refine_motion(
        torch.cat([current, current]),
        torch.cat([previous, following]),
        torch.cat([depth, depth]),
        torch.cat([batch.intrinsics, batch.intrinsics]),
        torch.cat(guessed).detach(),
        forward_only=forward_only,
    )
    to_previous, to_next = refined.chunk(2)
    return to_previous, to_next


def motion_difference(guessed: tuple[Tensor, Tensor], wanted: tuple[Tensor, Tensor]) -> Tensor:
    """Mean distance of two motions: rotation in units of 0.01 radians, translation in units of the wanted one."""
    guess, want = torch.cat(guessed), torch.cat(wanted)
    length = want[:, :3, 3:].norm(dim=1, keepdim=True).clamp(min=1e-6)
    translation = ((guess - want)[:, :3, 3:] / length).abs().mean()
    return translation + ((guess - want)[:, :3, :3] / 0.01).abs().mean()


def reprojection_error(batch: TripletBatch, depth: Tensor, transforms: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Smallest error per pixel and its index, see `minimum_reprojection`; depth at frame size [B, 1, H, W]."""
    previous, current, following = batch.frames.unbind(1)
    points = backproject(depth, torch.linalg.inv(batch.intrinsics))
    height, width = depth.shape[-2:]
    warped_errors = []
    for neighbour, transform in zip((previous, following), transforms):
        grid = project(points, batch.intrinsics, transform, (height, width))
        warped_errors.append(photometric_error(warp(neighbour, grid), current))
    with torch.no_grad():
        identity_errors = [photometric_error(neighbour, current) for neighbour in (previous, following)]
        tie_break = TIE_BREAK_NOISE * torch.randn(len(depth), 2, height, width).to(depth)
    return minimum_reprojection(warped_errors, identity_errors, tie_break=tie_break)


def nearness_of_sky(depth: Tensor, image: Tensor, intrinsics: Tensor) -> Tensor:
    """Inverse depth of plain pixels above the principal point, in units of their image's typical one; mean over all (ours).

    depth [B, 1, H, W] > 0, image [B, 3, H, W] in [0, 1], intrinsics [B, 3, 3]. Scalar, 0 where there is no such pixel.
    """
    rows = torch.arange(depth.shape[2], device=depth.device)
    above = rows[None, :, None] < intrinsics[:, 1, 2, None, None]
    typical = depth.detach().log().mean((1, 2, 3), keepdim=True).exp()
    return ((typical / depth)[:, 0] * (plain_surfaces(image) & above)).mean()


def plain_surfaces(image: Tensor) -> Tensor:
    """Where grey values deviate by less than `PLAIN` within about 20 pixels, sensor noise averaged out: bool [B, H, W]."""
    grey = F.avg_pool2d(image.mean(1, keepdim=True), 4)
    mean, square = (F.avg_pool2d(F.pad(values, (2,) * 4, mode="replicate"), 5, 1) for values in (grey, grey.square()))
    deviation = (square - mean.square()).clamp(min=0).sqrt()
    return F.interpolate((deviation < PLAIN).float(), image.shape[2:], mode="nearest")[:, 0] > 0


def learning_rate_factor(step: int, settings: SPIdepthTrainingSettings) -> float:
    """Factor on the learning rate at ``step``, 0-based: warm-up times schedule."""
    warmup = min(1.0, (step + 1) / settings.warmup_steps) if settings.warmup_steps else 1.0
    if settings.schedule == "step":
        return warmup * 0.1 ** (step // settings.decay_steps)
    return warmup * 0.5 * (1 + math.cos(math.pi * min(1.0, step / settings.steps)))


def shrink_factor(step: int, settings: SPIdepthTrainingSettings) -> int:
    """By how much the compared frames are smaller at ``step``: 4, then 2, then 1."""
    if step < settings.quarter_until * settings.steps:
        return 4
    return 2 if step < settings.half_until * settings.steps else 1


def _parameters(network: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in network.parameters() if parameter.requires_grad]
