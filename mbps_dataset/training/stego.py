"""STEGO and DepthG trained without labels: a head and a cluster probe on frozen features of a DINO.

Each step sees random windows, a window of a similar picture for each (a neighbour: one of the pictures with the most
similar mean token), and other pictures of the batch. Codes learn by the correspondence losses
(`mbps_dataset.training.correspondence`), the probe by its hard term on codes that give no gradient.

Source: Hamilton et al., ICLR 2022; Sick et al., CVPR 2024, and their code. Decisions, as published unless it says ours:

* Adam, 5e-4 for the head, 5e-3 for the probe; the depth term's weight and shift fall by a fifth every 400 steps;
* three independent dropouts of channels while training (`DepthGHead.training_pass`);
* the published code also trains a linear probe on labels in the same step, on codes without gradient. Here is none: nothing
  but pictures and depths can be handed in;
* windows are cut at several zooms in place of five fixed crops (ours).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from mbps_dataset.errors import InputError, TrainingError
from mbps_dataset.models.depthg.head import draw_kept_channels, feature_map
from mbps_dataset.models.depthg.segmenter import DepthGSegmenter
from mbps_dataset.settings import Settings, require_ascending, setting
from mbps_dataset.stages.network_pixels import imagenet_normalised
from mbps_dataset.stages.overclustering import fit_kmeans
from mbps_dataset.training.checkpointing import Checkpoint, seeded
from mbps_dataset.training.correspondence import (
    CorrespondenceLosses,
    CorrespondenceSettings,
    correspondence_losses,
    draw_positions,
    other_images,
)
from mbps_dataset.training.farthest_points import spread_positions
from mbps_dataset.training.precision import half_precision
from mbps_dataset.training.progress import TrainingProgress
from mbps_dataset.training.views import Pictures, Windows, draw_picture_indices, draw_windows


FADE, FADE_STEPS = 0.8, 400
"""Factor of the depth term's weight and shift, and steps after which it comes in."""

SAVE_EVERY = 200
_SHOWN = 256  # windows whose codes start the probe


class Depths(Protocol):
    """Depth of training pictures by number: float32 [h, w] metres, 0 unknown, of any size over the whole picture."""

    def __getitem__(self, index: int, /) -> NDArray[np.float32]: ...


@dataclass(frozen=True)
class StegoTrainingSettings(Settings):
    """How to train. Raises `RecipeError` for a value out of range."""

    steps: int = setting(2000, "optimiser steps", source="ours; DepthG: 7000", at_least=0)
    windows_per_step: int = setting(
        16, "windows of one step, and as many neighbours", source="ours; DepthG: 32", at_least=2
    )
    window_px: int = setting(224, "side of a window; a multiple of the patch size", source="DepthG", at_least=8)
    window_share: tuple[float, float] = setting(
        (0.5, 1.0),
        "least and largest window side over the shorter picture side",
        source="ours",
        at_least=0.01,
        at_most=1,
    )
    positions: int = setting(11, "positions along each side of the grid that is compared", source="STEGO", at_least=1)
    spread_by_depth: bool = setting(
        False,
        "choose positions by farthest point sampling in space, which needs depth",
        source="DepthG: off on Cityscapes",
    )
    negatives: int = setting(5, "other pictures that each is compared with", source="STEGO", at_least=1)
    neighbours: int = setting(7, "most similar pictures that a neighbour is drawn from", source="STEGO", at_least=1)
    learning_rate: float = setting(5e-4, "of Adam, for the head", source="STEGO", at_least=0)
    probe_learning_rate: float = setting(5e-3, "of Adam, for the probe", source="STEGO", at_least=0)
    kmeans_start: bool = setting(
        False, "the probe starts from k-means centres of codes, not from noise", source="ours"
    )
    seed: int = setting(0, "seed of windows, positions and starting points", at_least=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_ascending(self, "window_share")


USUAL, DEPTHG = StegoTrainingSettings(), CorrespondenceSettings()


def train_stego(
    segmenter: DepthGSegmenter,
    pictures: Pictures,
    settings: StegoTrainingSettings = USUAL,
    losses: CorrespondenceSettings = DEPTHG,
    *,
    depths: Depths | None = None,
    checkpoint_path: str | os.PathLike[str] | None = None,
    show_progress: bool = True,
) -> dict[str, float]:
    """Train head and probe of `segmenter` in place on `pictures` (uint8 [H, W, 3]); returns running means of the terms.

    The backbone stays as it is; the segmenter is left in evaluation mode. With `depths` there is a depth term. One seed
    gives one result, also when continued from `checkpoint_path`. Raises `InputError` if there are too few pictures or
    `spread_by_depth` has no depth, `TrainingError` if a loss is not finite.
    """
    if len(pictures) < 2:
        raise InputError(f"STEGO compares pictures with each other, and there are {len(pictures)}; give at least two.")
    if settings.spread_by_depth and depths is None:
        raise InputError("spread_by_depth chooses positions by depth, but no depth was given.")
    segmenter.backbone.eval().requires_grad_(False)
    with seeded(settings.seed):
        trainer = _Trainer(segmenter, pictures, settings, losses, depths)
        learned = trainer.train(checkpoint_path, show_progress)
    segmenter.eval()
    return learned


def similar_pictures(embeddings: Tensor, count: int) -> Tensor:
    """The `count` most similar others of each picture by cosine: [N, D] → int64 [N, min(count, N − 1)], best first."""
    units = F.normalize(embeddings, dim=1)
    cosine = units @ units.T
    cosine.fill_diagonal_(-torch.inf)
    return cosine.topk(min(count, len(units) - 1), dim=1).indices


def faded(losses: CorrespondenceSettings, step: int) -> tuple[float, float]:
    """Weight and shift of the depth term at a step, 0-based: both times `FADE` after every `FADE_STEPS`."""
    factor = FADE ** (step // FADE_STEPS)
    return losses.depth_weight * factor, losses.depth_shift * factor


class _Trainer:
    def __init__(
        self,
        segmenter: DepthGSegmenter,
        pictures: Pictures,
        settings: StegoTrainingSettings,
        losses: CorrespondenceSettings,
        depths: Depths | None,
    ) -> None:
        self.segmenter, self.pictures, self.settings = segmenter, pictures, settings
        self.losses, self.depths = losses, depths
        self.device = next(segmenter.parameters()).device
        self.similar = similar_pictures(self._embeddings(), settings.neighbours)
        self.optimisers = [
            torch.optim.Adam(segmenter.head.parameters(), lr=settings.learning_rate),
            torch.optim.Adam(segmenter.probe.parameters(), lr=settings.probe_learning_rate),
        ]

    def train(self, path: str | os.PathLike[str] | None, show: bool) -> dict[str, float]:
        head, probe = self.optimisers
        stated = {**asdict(self.settings), **asdict(self.losses), "depth": self.depths is not None}
        plain = {key: repr(value) if isinstance(value, tuple) else value for key, value in stated.items()}
        checkpoint = Checkpoint(
            path, settings=plain, every=SAVE_EVERY,
            head=self.segmenter.head, probe=self.segmenter.probe, head_optimiser=head, probe_optimiser=probe,
        )  # fmt: skip
        start = checkpoint.resume()
        if start == 0 and self.settings.kmeans_start:
            self._start_probe()
        with TrainingProgress("stego", start=start, stop=self.settings.steps, show=show) as progress:
            for step in progress:
                progress.report(self._step(step))
                checkpoint.step_done(step + 1)
        if start < self.settings.steps:
            checkpoint.save(self.settings.steps)
        return progress.smoothed

    def _step(self, step: int) -> dict[str, float]:
        chosen = draw_picture_indices(self.settings.windows_per_step, self.pictures)
        others = [int(row[torch.randint(len(row), ())]) for row in self.similar[chosen]]
        windows = self._windows(chosen)
        features, near = self._features(windows), self._features(self._windows(others))
        head = self.segmenter.head
        codes, signal = head.training_pass(features, draw_kept_channels(features))
        near_codes, near_signal = head.training_pass(near, draw_kept_channels(near))
        found = self._losses(step, (signal, near_signal, codes, near_codes), self._depth(windows, chosen))
        probe_loss = self.segmenter.probe.loss(codes)
        total = found.total + probe_loss  # apart: the probe takes codes without gradient
        if not bool(torch.isfinite(total)):
            raise TrainingError(f"Step {step + 1}: the loss is {float(total.detach())}; take a smaller learning rate.")
        for optimiser in self.optimisers:
            optimiser.zero_grad()
        total.backward()
        for optimiser in self.optimisers:
            optimiser.step()
        return {"correspondence": float(found.total.detach()), "probe": float(probe_loss.detach())}

    def _losses(
        self, step: int, maps: tuple[Tensor, Tensor, Tensor, Tensor], depth: Tensor | None
    ) -> CorrespondenceLosses:
        side, batch = self.settings.positions, len(maps[0])
        positions = spread_positions(depth, side) if self.settings.spread_by_depth and depth is not None else None
        first = draw_positions(batch, side) if positions is None else positions
        weight, shift = faded(self.losses, step)
        values = asdict(self.losses) | {"depth_weight": weight, "depth_shift": shift}
        return correspondence_losses(
            *maps,
            positions=first.to(self.device),
            other_positions=draw_positions(batch, side).to(self.device),
            others=[other_images(torch.randperm(batch)).to(self.device) for _ in range(self.settings.negatives)],
            depth=None if depth is None else depth.to(self.device),
            settings=CorrespondenceSettings(**values),
        )

    def _windows(self, indices: Sequence[int]) -> Windows:
        return draw_windows(self.pictures, indices, self.settings.window_px, share=self.settings.window_share)

    @torch.no_grad()
    def _features(self, windows: Windows) -> Tensor:
        backbone, pixels = self.segmenter.backbone, imagenet_normalised(windows.pixels).to(self.device)
        with half_precision(self.device):
            return feature_map(backbone.tokens(pixels), backbone.grid_hw(pixels)).float()

    def _depth(self, windows: Windows, indices: Sequence[int]) -> Tensor | None:
        """Depth of the same windows, [B, 1, S, S]."""
        if self.depths is None:
            return None
        size = self.settings.window_px
        cut = []
        for place, index in enumerate(indices):
            depth = torch.from_numpy(np.ascontiguousarray(self.depths[index], dtype=np.float32))
            scale = depth.new_tensor(depth.shape) / windows.picture_hw[place]
            top, left, side = windows.box[place].tolist()
            rows, columns = (
                ((start + (torch.arange(size) + 0.5) / size * side) * factor).long().clamp(max=most - 1)
                for start, factor, most in zip((top, left), scale, depth.shape)
            )
            window = depth[rows][:, columns]
            cut.append(window.flip(1) if windows.mirrored[place] else window)
        return torch.stack(cut)[:, None]

    def _embeddings(self) -> Tensor:
        """Mean token of the middle of every picture, [N, D]."""
        means = []
        for begin in range(0, len(self.pictures), self.settings.windows_per_step):
            indices = range(begin, min(begin + self.settings.windows_per_step, len(self.pictures)))
            with seeded(self.settings.seed):
                windows = draw_windows(self.pictures, indices, self.settings.window_px, share=(1.0, 1.0), mirror=False)
            means.append(self._features(windows).mean(dim=(2, 3)).cpu())
        return torch.cat(means)

    @torch.no_grad()
    def _start_probe(self) -> None:

        batches = -(-_SHOWN // self.settings.windows_per_step)
        codes = [
            self.segmenter.head(
                self._features(self._windows(draw_picture_indices(self.settings.windows_per_step, self.pictures)))
            )
            for _ in range(batches)
        ]
        rows = torch.cat(codes).permute(0, 2, 3, 1).flatten(0, 2).cpu().numpy()
        thinned = rows[:: max(1, len(rows) // 20_000)]
        clusters = self.segmenter.probe.clusters
        centres = fit_kmeans(thinned, len(clusters), seed=self.settings.seed, restarts=1, iterations=50)
        clusters.copy_(torch.from_numpy(centres))
