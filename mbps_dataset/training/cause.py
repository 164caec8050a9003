"""CAUSE-TR's training with everything but its labels: three stages on a frozen backbone.

What to expect of it: less than of the published weights, whose training has labels (below). Where we could compare, codes
learned so were worse than the tokens they are learned from, and whitening those in closed form, which needs no training, was
better than both (docs, "What does CAUSE learn without labels?"). It is here as the published method.

1. *Codebook*: vectors that group backbone tokens by modularity.
2. *Contrastive*: the student head learns codes in which tokens of one codebook neighbourhood lie together; the teacher
   follows as a moving average; a bank keeps earlier tokens.
3. *Probe*: cluster centres in code space, by modularity on the teacher's codes.

Source: Kim, Lee and Ro, "Causal Unsupervised Semantic Segmentation" (2023), and its code. Where we differ:

* **No label enters.** The published code also trains a linear probe on ground truth, and in its last stage that
  gradient reaches the teacher head, the one used at inference. Here there is no linear probe, nothing but pictures can
  be handed in, and stage 3 takes no gradient through the head.
* *Starting points.* The probe starts from spherical k-means centres of teacher codes instead of near-zero noise: from noise,
  half of the published probe's 27 vectors never win a token; from centres, all start with tokens of their own.
  ``kmeans_start=False`` restores the published start. The codebook starts from noise, as published, which gave better codes
  than centres of tokens (``codebook_kmeans_start=True``).
* *What happens is told.* How many pairs of tokens are positive and negative, and in how many dimensions the codes vary; a
  warning where they collapse.
* A learning rate of 4e-3, which is what the published runs used after scaling by four devices; several processes share
  a batch instead (see `processes`), each with a memory bank of its own as in the published runs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from mbps_dataset.models.cause import CauseSegmenter
from mbps_dataset.settings import Settings, require_ascending, setting
from mbps_dataset.stages.network_pixels import imagenet_normalised
from mbps_dataset.stages.overclustering import fit_kmeans
from mbps_dataset.training.checkpointing import ALONE, Checkpoint, Stateful, seeded
from mbps_dataset.training.contrastive import TokenBank, contrastive_loss, nearest_codebook_index, pair_shares
from mbps_dataset.training.modularity import draw_grid_order, grid_sample, modularity_loss
from mbps_dataset.training.precision import half_precision
from mbps_dataset.training.processes import Processes
from mbps_dataset.training.progress import TrainingProgress
from mbps_dataset.training.views import Pictures, draw_picture_indices, draw_windows


SAVE_EVERY = 100
"""Steps between two checkpoint files."""

Module = TypeVar("Module", bound=nn.Module)

_TELL_EVERY = 50
"""Contrastive steps between two lines on pairs and codes."""

_COLLAPSED = 0.5
"""Codes that vary in fewer than this share of the tokens' effective dimensions are called collapsed."""

_SEEDS_APART = 1_000_003
"""Between the seeds of processes that train together."""


@dataclass(frozen=True)
class CauseTrainingSettings(Settings):
    """How to train; learning rates, batch, bank and temperatures as published, lengths for the tiny network (ours)."""

    codebook_steps: int = setting(
        100, "optimiser steps of the codebook", source="ours; CAUSE: 1 epoch, about 233", at_least=0
    )
    contrastive_steps: int = setting(
        400, "optimiser steps of the head", source="ours; CAUSE: 2 epochs, about 466", at_least=0
    )
    probe_steps: int = setting(
        50, "optimiser steps of the probe", source="ours; CAUSE: 5 epochs, about 1165", at_least=0
    )
    windows_per_step: int = setting(16, "windows of one step, over all processes", source="CAUSE", at_least=1)
    window_share: tuple[float, float] = setting(
        (0.7, 1.0), "least and largest window side over the shorter picture side",
        source="ours; CAUSE: 1.0 of crops", at_least=0.01, at_most=1,
    )  # fmt: skip
    learning_rate: float = setting(4e-3, "of Adam, for codebook and head", source="CAUSE on four devices", at_least=0)
    probe_learning_rate: float = setting(
        1e-3, "of Adam, for the probe", source="ours; CAUSE: 4e-3 from noise", at_least=0
    )
    gradient_norm: float = setting(1.0, "largest norm of a step's gradient", source="CAUSE", at_least=0)
    teacher_decay: float = setting(
        0.99, "share of the teacher that each step keeps", source="CAUSE", at_least=0, at_most=1
    )
    bank_capacity: int = setting(100, "teacher projections kept per codebook row", source="CAUSE", at_least=1)
    kmeans_start: bool = setting(True, "the probe starts from k-means centres, not from noise", source="ours")
    codebook_kmeans_start: bool = setting(
        False, "the codebook starts from k-means centres, not from noise", source="CAUSE: noise"
    )
    kmeans_windows: int = setting(128, "windows whose tokens k-means starts from", source="ours", at_least=1)
    seed: int = setting(0, "seed of windows, order and starting points", at_least=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_ascending(self, "window_share")


def train_cause(
    segmenter: CauseSegmenter,
    pictures: Pictures,
    settings: CauseTrainingSettings,
    *,
    checkpoint_folder: str | os.PathLike[str] | None = None,
    show_progress: bool = True,
    processes: Processes = ALONE,
) -> CauseSegmenter:
    """Train head, codebook and probe of `segmenter` in place on `pictures` (uint8 [H, W, 3]); returned in eval mode.

    The backbone stays as it is. One seed gives one result, also when continued from `checkpoint_folder`, which holds
    one file per stage. Runs on the device of the segmenter. `processes` that train together share every batch of windows
    evenly (`RecipeError` if they cannot); for one number of them one seed gives one result.
    """
    trainer = _Trainer(segmenter, pictures, settings, checkpoint_folder, show_progress, processes)
    for tensor in (*segmenter.segment.state_dict().values(), *segmenter.probe.state_dict().values()):
        tensor.copy_(processes.from_first(tensor))
    segmenter.backbone.eval().requires_grad_(False)
    stages = (("codebook", trainer.codebook), ("contrastive", trainer.contrastive), ("probe", trainer.probe))
    for number, (name, stage) in enumerate(stages):
        with seeded(settings.seed * len(stages) + number + _SEEDS_APART * processes.rank):
            stage(name)
    return segmenter.eval()


def describe_codes(features: Tensor, codes: Tensor, codebook: Tensor) -> str:
    """What the contrastive stage works with and what it makes, in words: `features` [B, P, D], `codes` [B, P, C]."""
    shares = pair_shares(features, codebook)
    before, now = effective_dimensions(features), effective_dimensions(codes)
    collapsed = " - the codes collapse: take whitening (--method whitening)" if now < _COLLAPSED * before else ""
    return (
        f"{shares.positive:.0%} of the pairs are positive and {shares.negative:.0%} negative; tokens vary in {before:.1f} "
        f"effective dimensions, codes in {now:.1f}{collapsed}"
    )


def effective_dimensions(codes: Tensor) -> float:
    """How many directions vary as much as a few alike ones would: (sum of λ)² / sum of λ² of the covariance of codes [..., C].

    >>> effective_dimensions(torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]))
    2.0
    """
    rows = codes.reshape(-1, codes.shape[-1]).double()
    variance = torch.linalg.eigvalsh(torch.cov(rows.T, correction=0).reshape(rows.shape[1], -1)).clamp(min=0)
    return float(variance.sum() ** 2 / variance.square().sum().clamp(min=1e-30))


@contextmanager
def _evaluating(module: Module) -> Iterator[Module]:
    training = module.training
    try:
        yield module.eval()
    finally:
        module.train(training)


class _Trainer:
    """The three stages over one segmenter and one set of pictures."""

    def __init__(
        self,
        segmenter: CauseSegmenter,
        pictures: Pictures,
        settings: CauseTrainingSettings,
        folder: str | os.PathLike[str] | None,
        show_progress: bool,
        processes: Processes,
    ) -> None:
        self.segmenter, self.pictures, self.settings, self.processes = segmenter, pictures, settings, processes
        self.folder = None if folder is None else Path(folder)
        self.show_progress = show_progress and processes.rank == 0
        self.windows_per_step = processes.share(settings.windows_per_step)
        self.device = next(segmenter.parameters()).device

    def codebook(self, name: str) -> None:
        """Stage 1: the codebook by modularity on tokens, one per 4 x 4 block."""
        segment = self.segmenter.segment
        codebook = nn.Parameter(segment.codebook.clone())
        holder = nn.ParameterList([codebook])
        optimiser = torch.optim.Adam([codebook], lr=self.settings.learning_rate)
        checkpoint = self._checkpoint(name, codebook=holder, optimiser=optimiser)
        start = checkpoint.resume()
        if start == 0 and self.settings.codebook_kmeans_start:
            codebook.data.copy_(self._kmeans(self._features, len(codebook)))
        with self._steps(name, checkpoint, start, self.settings.codebook_steps) as progress:
            for step in progress:
                loss = modularity_loss(self._sampled(self._features(self._windows())), codebook)
                self._descend(loss, optimiser)
                progress.report({"modularity": -float(loss.detach())})
                checkpoint.step_done(step + 1)
        segment.codebook.copy_(codebook.detach())

    def contrastive(self, name: str) -> None:
        """Stage 2: student head against teacher head, with the bank."""
        segment = self.segmenter.segment.train()
        learned = [*segment.head.parameters(), *segment.projection_head.parameters()]
        optimiser = torch.optim.Adam(learned, lr=self.settings.learning_rate)
        width = self.segmenter.config.projection_dim
        bank = TokenBank(len(segment.codebook), width, capacity=self.settings.bank_capacity).to(self.device)
        checkpoint = self._checkpoint(name, segment=segment, optimiser=optimiser, bank=bank)
        start = checkpoint.resume()
        if start == 0:
            segment.update_teacher(0)
        with self._steps(name, checkpoint, start, self.settings.contrastive_steps) as progress:
            for step in progress:
                loss = self._contrast(bank)
                self._descend(loss, optimiser, self.settings.gradient_norm)
                segment.update_teacher(self.settings.teacher_decay)
                progress.report({"contrast": float(loss.detach())})
                if (step + 1 - start) % _TELL_EVERY == 0 or step + 1 == self.settings.contrastive_steps:
                    progress.tell(self._state_of_codes(step + 1))
                checkpoint.step_done(step + 1)
        segment.eval()

    @torch.no_grad()
    def _state_of_codes(self, step: int) -> str:
        """Shares of pairs and dimensions of codes in one batch of windows, in words; the state of the draws is left alone."""
        with torch.random.fork_rng(), _evaluating(self.segmenter.segment) as segment:
            features = self._features(self._windows())
            order = draw_grid_order(len(features), self.segmenter.config.grid, device=self.device)
            tokens, codes = (grid_sample(each, order) for each in (features, segment.encode(features)))
            return f"step {step}: {describe_codes(tokens, codes, segment.codebook)}"

    def probe(self, name: str) -> None:
        """Stage 3: the cluster probe by modularity on the teacher's codes; the head takes no gradient."""
        probe = self.segmenter.probe
        optimiser = torch.optim.Adam(probe.parameters(), lr=self.settings.probe_learning_rate)
        checkpoint = self._checkpoint(name, probe=probe, optimiser=optimiser)
        start = checkpoint.resume()
        if start == 0 and self.settings.kmeans_start:
            probe.cluster_probe.data.copy_(self._kmeans(self._codes, len(probe.cluster_probe)))
        with self._steps(name, checkpoint, start, self.settings.probe_steps) as progress:
            for step in progress:
                loss = modularity_loss(self._sampled(self._codes(self._windows())), probe.cluster_probe)
                self._descend(loss, optimiser)
                progress.report({"modularity": -float(loss.detach())})
                checkpoint.step_done(step + 1)

    def _contrast(self, bank: TokenBank) -> Tensor:
        segment = self.segmenter.segment
        features = self._features(self._windows())
        student = segment.projection_head(segment.encode_student(features))
        with torch.no_grad():
            teacher = segment.projection_head_ema(segment.encode(features))
        order = draw_grid_order(len(features), self.segmenter.config.grid, device=self.device)
        features, student, teacher = (grid_sample(tokens, order) for tokens in (features, student, teacher))
        kept, rows = bank.contents()
        loss = contrastive_loss(features, student, teacher, segment.codebook, bank_features=kept, bank_indices=rows)
        bank.add(teacher.flatten(0, 1), nearest_codebook_index(features, segment.codebook).flatten())
        return loss

    def _windows(self) -> Tensor:
        indices = draw_picture_indices(self.windows_per_step, self.pictures)
        crop = self.segmenter.config.crop
        views = draw_windows(self.pictures, indices, crop, share=self.settings.window_share)
        return imagenet_normalised(views.pixels).to(self.device)

    @torch.no_grad()
    def _features(self, pixels: Tensor) -> Tensor:
        with half_precision(self.device):
            return self.segmenter.backbone.features(pixels).float()

    @torch.no_grad()
    def _codes(self, pixels: Tensor) -> Tensor:
        return self.segmenter.segment.encode(self._features(pixels))

    def _sampled(self, tokens: Tensor) -> Tensor:
        return grid_sample(tokens, draw_grid_order(len(tokens), self.segmenter.config.grid, device=self.device))

    def _kmeans(self, encode: Callable[[Tensor], Tensor], count: int) -> Tensor:
        """Spherical k-means centres of tokens drawn one per block, with the mean length of the tokens."""
        batches = -(-self.settings.kmeans_windows // self.windows_per_step)
        tokens = torch.cat([self._sampled(encode(self._windows())).flatten(0, 1) for _ in range(batches)])
        centres = fit_kmeans(tokens.cpu().numpy(), count, seed=self.settings.seed, restarts=1, iterations=50)
        return self.processes.from_first(torch.from_numpy(centres).to(tokens) * tokens.norm(dim=1).mean())

    def _checkpoint(self, name: str, **parts: Stateful) -> Checkpoint:
        path = None if self.folder is None else self.folder / f"{name}.pt"
        plain = {
            key: value if not isinstance(value, tuple) else repr(value) for key, value in asdict(self.settings).items()
        }
        return Checkpoint(path, settings=plain, every=SAVE_EVERY, processes=self.processes, **parts)

    @contextmanager
    def _steps(self, name: str, checkpoint: Checkpoint, start: int, stop: int) -> Iterator[TrainingProgress]:
        with TrainingProgress(name, start=start, stop=stop, show=self.show_progress) as progress:
            yield progress
        if start < stop:
            checkpoint.save(stop)

    def _descend(self, loss: Tensor, optimiser: torch.optim.Optimizer, norm: float | None = None) -> None:
        learned = [parameter for group in optimiser.param_groups for parameter in group["params"]]
        optimiser.zero_grad()
        loss.backward()
        self.processes.average_gradients(learned)
        if norm is not None:
            nn.utils.clip_grad_norm_(learned, norm)
        optimiser.step()
