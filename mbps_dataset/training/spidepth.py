"""Depth without labels: SPIdepth learned from video by photometric consistency alone.

A depth network looks at one frame, a pose network at two neighbours; together they must explain frames -1 and +1 from
frame 0. Only `VideoTriplet`s enter: three frames and intrinsics.

Decisions and where they come from:

1. One scale; depth bilinearly upsampled to the frame before warping; smallest error over both neighbours and the
   unmoved frames; smoothness weight 1e-3 (SPIdepth reference code, after Monodepth2).
2. Pose input always in temporal order; the inverse motion leads to frame -1 (reference code).
3. Adam at 1e-4 with x0.1 steps (reference code), or a short warm-up and a cosine (ours; ten times shorter runs).
4. Flip 0.5 and colour jitter 0.5; jittered frames go to the networks, original ones to the loss (reference code).
5. Gradients are clipped to norm 1 (ours): the first steps, with a pose network that knows nothing, are rough.
6. Everything random is drawn from torch's default generator under one seed, and checkpoints hold its state, so one
   seed gives one result, interrupted or not.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mbps_dataset.recipe import setting, validate
from mbps_dataset.training.checkpointing import Checkpoint, seeded
from mbps_dataset.training.colour_jitter import jitter_colours
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


@dataclass(frozen=True)
class SPIdepthTrainingSettings:
    """How long and how fast; defaults of the reference code unless the field says otherwise."""

    steps: int = setting(50_000, "optimiser steps", at_least=1)
    batch_size: int = setting(12, "triplets per step", at_least=1)
    learning_rate: float = setting(1e-4, "of Adam, for both networks", at_least=0)
    schedule: str = setting("step", "'step': x0.1 every decay_steps; 'cosine': to zero", choices=("step", "cosine"))
    decay_steps: int = setting(25_000, "for 'step'", at_least=1)
    warmup_steps: int = setting(0, "linear rise of the learning rate (ours)", at_least=0)
    smoothness: float = setting(1e-3, "weight of the edge-aware smoothness of depth", at_least=0)
    flip: float = setting(0.5, "probability of mirroring a triplet", at_least=0, at_most=1)
    jitter: float = setting(0.5, "probability of changing a triplet's colours", at_least=0, at_most=1)
    clip_norm: float = setting(1.0, "largest gradient norm over both networks (ours)", at_least=0)
    seed: int = setting(0, "seed of order, augmentation, dropout and tie-breaking", at_least=0)

    def __post_init__(self) -> None:
        validate(self)


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
        auto-masking leaves on).
    """
    with seeded(settings.seed):
        optimiser = torch.optim.Adam(_parameters(depth_network, pose_network), settings.learning_rate)
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
                losses = training_step(depth_network, pose_network, batch, optimiser, settings)
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
) -> dict[str, float]:
    """Augment, compute the loss, move the weights once; returns the losses as numbers."""
    device = batch.frames.device
    batch = batch.mirrored((torch.rand(len(batch.frames)) < settings.flip).to(device))
    seen = jitter_colours(batch.frames, (torch.rand(len(batch.frames)) < settings.jitter).to(device))
    losses = training_losses(depth_network, pose_network, batch, seen, smoothness_weight=settings.smoothness)
    optimiser.zero_grad(set_to_none=True)
    losses["loss"].backward()
    if settings.clip_norm:
        nn.utils.clip_grad_norm_(_parameters(depth_network, pose_network), settings.clip_norm)
    optimiser.step()
    return {name: float(value.detach()) for name, value in losses.items()}


def training_losses(
    depth_network: nn.Module,
    pose_network: nn.Module,
    batch: TripletBatch,
    seen: Tensor | None = None,
    *,
    smoothness_weight: float = 1e-3,
) -> dict[str, Tensor]:
    """Photometric error of both neighbours plus weighted smoothness.

    ``seen`` [B, 3, 3, H, W] are the frames as the networks see them (default: as they are). Returns scalars ``loss``,
    ``photometric``, ``smoothness`` and ``moving``.
    """
    seen = batch.frames if seen is None else seen
    depth = depth_network(seen[:, 1])
    to_previous, to_next = neighbour_transforms(pose_network, seen, depth)
    depth = F.interpolate(depth, batch.frames.shape[-2:], mode="bilinear", align_corners=False)
    error, winner = reprojection_error(batch, depth, (to_previous, to_next))
    smoothness = edge_aware_smoothness(depth, batch.frames[:, 1])
    photometric = error.mean()
    return {
        "loss": photometric + smoothness_weight * smoothness,
        "photometric": photometric,
        "smoothness": smoothness,
        "moving": (winner >= 2).float().mean(),
    }


def neighbour_transforms(pose_network: nn.Module, seen: Tensor, depth: Tensor) -> tuple[Tensor, Tensor]:
    """Motion from frame 0 to frames -1 and +1, each [B, 4, 4]; seen [B, 3, 3, H, W], depth [B, 1, h, w]."""
    pairs = torch.cat([seen[:, :2].flatten(1, 2), seen[:, 1:].flatten(1, 2)])
    axis_angle, translation = pose_network(pairs)
    translation = scale_translation(translation, depth.repeat(2, 1, 1, 1))
    (turn_before, turn_after), (shift_before, shift_after) = axis_angle.chunk(2), translation.chunk(2)
    return rigid_transform(turn_before, shift_before, invert=True), rigid_transform(turn_after, shift_after)


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


def learning_rate_factor(step: int, settings: SPIdepthTrainingSettings) -> float:
    """Factor on the learning rate at ``step``, 0-based: warm-up times schedule."""
    warmup = min(1.0, (step + 1) / settings.warmup_steps) if settings.warmup_steps else 1.0
    if settings.schedule == "step":
        return warmup * 0.1 ** (step // settings.decay_steps)
    return warmup * 0.5 * (1 + math.cos(math.pi * min(1.0, step / settings.steps)))


def _parameters(*networks: nn.Module) -> list[nn.Parameter]:
    return [parameter for network in networks for parameter in network.parameters() if parameter.requires_grad]
