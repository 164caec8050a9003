"""Self-distillation of a small vision transformer from scratch: a student guesses what a slow copy of itself sees.

The recipe is DINO's (Caron et al., ICCV 2021) for the class token and iBOT's (Zhou et al., ICLR 2022) for the patches,
with two additions that make it learn in minutes on a small network. It needs pictures and nothing else.

* *Class token*: the student's view is compared with the teacher's of another window of the same picture. Only the
  student's views are recoloured.
* *Masked tokens*: the student sees a window with blocks hidden and guesses the teacher's assignment of those tokens.
* *Meeting tokens* (ours): where two windows show the same spot, the student's token in one is compared with the
  teacher's in the other, so that a token means the same at another zoom, place, mirroring and colouring.
* *Local statistics* (ours, after MaskFeat): from the first step on, hidden patches are also predicted as colour and
  gradient statistics; without it, a small network spends most of a short training leaving its random start.
* Assignments are to learned prototypes; the teacher's are balanced by three Sinkhorn-Knopp rounds (SwAV, NeurIPS
  2020; DINOv2), so no running centre is needed and nothing collapses.

Works for any vision transformer of ``transformers`` that takes ``pixel_values`` and ``bool_masked_pos`` and returns
``last_hidden_state`` with the class token first and the patches last: `Dinov2Model`, `DINOv3ViTModel`.
"""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mbps_dataset.training.checkpointing import Checkpoint, seeded
from mbps_dataset.training.local_statistics import CHANNELS, local_statistics
from mbps_dataset.training.precision import half_precision
from mbps_dataset.training.progress import TrainingProgress
from mbps_dataset.training.views import (
    Pictures,
    Windows,
    draw_picture_indices,
    draw_windows,
    jitter_colours,
    matching_tokens,
    normalise,
)


SAVE_EVERY = 100
"""Steps between two checkpoint files."""


@dataclass(frozen=True)
class SelfDistillationSettings:
    """How to train; the defaults are those of the shipped semantic backbone. Every value is ours unless cited."""

    steps: int = 2000
    pictures_per_step: int = 8
    window_px: int = 224  # side of a window fed to the network, a multiple of the patch size
    window_share: tuple[float, float] = (0.5, 1.0)  # of the shorter picture side
    local_windows: int = 0  # extra small windows per picture, compared by class token only (DINO's multi-crop)
    local_px: int = 96
    local_share: tuple[float, float] = (0.15, 0.4)
    colour_jitter: float = 0.3  # brightness, contrast and saturation, each 1 +- this
    hue_turn: float = 0.03  # turns of the colour circle
    masked_share: tuple[float, float] = (0.2, 0.5)  # of a window's tokens (iBOT: 0.1 to 0.5)
    prototypes: int = 256
    bottleneck: int = 64  # channels in which tokens and prototypes are compared
    student_temperature: float = 0.1  # DINO
    teacher_temperature: float = 0.05  # DINO: 0.04 to 0.07
    teacher_decay: tuple[float, float] = (0.99, 0.999)  # of the moving average, first and last step
    learning_rate: float = 1e-3
    weight_decay: float = 0.04  # DINO
    warm_up_share: float = 0.1
    weights: Mapping[str, float] = field(
        default_factory=lambda: {"class": 0.3, "masked": 1.0, "meeting": 1.0, "statistics": 1.0}
    )
    seed: int = 0


class PrototypeHead(nn.Module):
    """Tokens to prototype scores: a two-layer map to a unit vector, then cosines to unit prototypes."""

    def __init__(self, width: int, prototypes: int, bottleneck: int) -> None:
        super().__init__()
        self.map = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, bottleneck))
        self.prototypes = nn.Parameter(torch.randn(prototypes, bottleneck))

    def forward(self, tokens: Tensor) -> Tensor:
        """[..., width] -> cosines [..., prototypes]."""
        unit = F.normalize(self.map(tokens).float(), dim=-1)
        return unit @ F.normalize(self.prototypes, dim=-1).T


class Seen(NamedTuple):
    """What a network makes of a batch: prototype cosines of class and patch tokens, and the patch tokens."""

    class_scores: Tensor
    patch_scores: Tensor
    patches: Tensor


class SelfDistillation(nn.Module):
    """A vision transformer with prototype heads for class and patch tokens; student and teacher are two of these."""

    def __init__(self, network: nn.Module, width: int, settings: SelfDistillationSettings) -> None:
        super().__init__()
        self.network = network
        self.class_head = PrototypeHead(width, settings.prototypes, settings.bottleneck)
        self.patch_head = PrototypeHead(width, settings.prototypes, settings.bottleneck)
        self.statistics_head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, CHANNELS))

    def forward(self, pixels: Tensor, patches: int, mask: Tensor | None = None) -> Seen:
        """`pixels` [B, 3, S, S] normalised, `patches` tokens per window, `mask` [B, patches] bool (hidden)."""
        tokens = self.network(pixel_values=pixels, bool_masked_pos=mask).last_hidden_state
        return Seen(self.class_head(tokens[:, 0]), self.patch_head(tokens[:, -patches:]), tokens[:, -patches:])


def balanced_assignment(scores: Tensor, temperature: float, *, rounds: int = 3) -> Tensor:
    """Sinkhorn-Knopp: cosines [N, K] -> assignment [N, K], rows sum to 1, columns to about N / K."""
    assignment = torch.exp((scores - scores.amax()) / temperature).T
    for _ in range(rounds):
        assignment = assignment / assignment.sum(dim=1, keepdim=True).clamp(min=1e-12) / assignment.shape[0]
        assignment = assignment / assignment.sum(dim=0, keepdim=True).clamp(min=1e-12) / assignment.shape[1]
    return (assignment * assignment.shape[1]).T


def draw_block_masks(pictures: int, side: int, share: tuple[float, float]) -> Tensor:
    """Hidden tokens: rectangles until a random share is covered; bool [pictures, side^2], at least one per picture."""
    masks = torch.zeros(pictures, side, side, dtype=torch.bool)
    for mask in masks:
        wanted = max(1, round(side * side * float(torch.empty(1).uniform_(*share))))
        while int(mask.sum()) < wanted:
            height, width = (int(torch.randint(1, max(2, side // 3), (1,))) for _ in range(2))
            top, left = (int(torch.randint(0, side - extent + 1, (1,))) for extent in (height, width))
            mask[top : top + height, left : left + width] = True
    return masks.flatten(1)


def train_self_distillation(
    network: nn.Module,
    pictures: Pictures,
    settings: SelfDistillationSettings,
    *,
    width: int,
    patch_px: int,
    checkpoint_path: str | os.PathLike[str] | None = None,
    show_progress: bool = True,
) -> nn.Module:
    """Train `network` in place and return the teacher's network, in evaluation mode.

    `pictures` are uint8 [H, W, 3] arrays; `width` D of the tokens; `patch_px` of the network. The same seed,
    pictures and machine give the same weights, also when continued from `checkpoint_path`. Runs on the device of the
    network's parameters, in bfloat16 where the processor has it.
    """
    _require_whole_patches(settings, patch_px)
    device = next(network.parameters()).device
    with seeded(settings.seed):
        student = SelfDistillation(network, width, settings).to(device).train()
        teacher = copy.deepcopy(student).requires_grad_(False)
        optimiser = torch.optim.AdamW(_groups(student, settings.weight_decay), lr=settings.learning_rate)
        checkpoint = Checkpoint(
            checkpoint_path,
            settings=_flat(settings),
            every=SAVE_EVERY,
            student=student,
            teacher=teacher,
            optimiser=optimiser,
        )
        start = checkpoint.resume()
        with TrainingProgress("self-distillation", start=start, stop=settings.steps, show=show_progress) as progress:
            for step in progress:
                _set_learning_rate(optimiser, step, settings)
                losses = _losses(student, teacher, pictures, settings, patch_px, device)
                total = sum(settings.weights[name] * loss for name, loss in losses.items())
                optimiser.zero_grad()
                total.backward()
                nn.utils.clip_grad_norm_(student.parameters(), 3.0)
                optimiser.step()
                _follow(teacher, student, _teacher_decay(step, settings))
                progress.report({name: float(loss.detach()) for name, loss in losses.items()})
                checkpoint.step_done(step + 1)
        checkpoint.save(settings.steps)
    return teacher.network.eval()


def _losses(
    student: SelfDistillation,
    teacher: SelfDistillation,
    pictures: Pictures,
    settings: SelfDistillationSettings,
    patch_px: int,
    device: torch.device,
) -> dict[str, Tensor]:
    """Losses of one step; two windows of each picture, and local ones where asked for."""
    side = settings.window_px // patch_px
    indices = draw_picture_indices(settings.pictures_per_step, pictures)
    views = [draw_windows(pictures, indices, settings.window_px, share=settings.window_share) for _ in range(2)]
    pixels = torch.cat([_recolour(view, settings) for view in views]).to(device)
    plain = torch.cat([view.pixels for view in views]).to(device)
    mask = draw_block_masks(len(pixels), side, settings.masked_share).to(device)
    with half_precision(device):
        with torch.no_grad():
            target = teacher(normalise(plain), side * side)
        guess = student(normalise(pixels), side * side, mask)
        statistics = student.statistics_head(guess.patches[mask])
    assigned = _balance(target.patch_scores, settings)
    classes = _balance(target.class_scores[:, None], settings)[:, 0].chunk(2)
    log_patches = F.log_softmax(guess.patch_scores / settings.student_temperature, dim=-1)
    log_classes = F.log_softmax(guess.class_scores / settings.student_temperature, dim=-1).chunk(2)
    losses = {
        "class": -((classes[1] * log_classes[0]) + (classes[0] * log_classes[1])).sum(-1).mean() / 2,
        "masked": -(assigned * log_patches).sum(-1)[mask].mean(),
        "meeting": _meeting_loss(log_patches, assigned, mask, views, side),
        "statistics": F.smooth_l1_loss(statistics.float(), _standardise(local_statistics(plain, patch_px))[mask]),
    }
    if settings.local_windows:
        losses["class"] = (losses["class"] + _local_loss(student, pictures, indices, classes, settings, patch_px)) / 2
    return losses


def _meeting_loss(log_guess: Tensor, assigned: Tensor, mask: Tensor, views: list[Windows], side: int) -> Tensor:
    """Cross-entropy of visible student tokens to the other window's teacher tokens of the same spot."""
    guesses, targets, hidden = log_guess.chunk(2), assigned.chunk(2), mask.chunk(2)
    terms, weights = [], []
    for mine, other in ((0, 1), (1, 0)):
        index, inside = (item.to(log_guess.device) for item in matching_tokens(views[mine], views[other], side))
        met = torch.gather(targets[other], 1, index[..., None].expand(-1, -1, targets[other].shape[-1]))
        used = inside & ~hidden[mine]
        terms.append((-(met * guesses[mine]).sum(-1) * used).sum())
        weights.append(used.sum())
    return sum(terms) / sum(weights).clamp(min=1)


def _local_loss(
    student: SelfDistillation,
    pictures: Pictures,
    indices: list[int],
    classes: tuple[Tensor, ...],
    settings: SelfDistillationSettings,
    patch_px: int,
) -> Tensor:
    """DINO's multi-crop: class tokens of small windows against the teacher's class tokens of both large ones."""
    device = classes[0].device
    views = [
        draw_windows(pictures, indices, settings.local_px, share=settings.local_share)
        for _ in range(settings.local_windows)
    ]
    pixels = torch.cat([_recolour(view, settings) for view in views]).to(device)
    with half_precision(device):
        scores = student(normalise(pixels), (settings.local_px // patch_px) ** 2).class_scores
    log_guess = F.log_softmax(scores / settings.student_temperature, dim=-1)
    target = (classes[0] + classes[1]).repeat(settings.local_windows, 1) / 2
    return -(target * log_guess).sum(-1).mean()


def _balance(scores: Tensor, settings: SelfDistillationSettings) -> Tensor:
    """Sinkhorn over all tokens of the batch: [B, P, K] -> [B, P, K]."""
    flat = balanced_assignment(scores.float().flatten(0, 1), settings.teacher_temperature)
    return flat.reshape(scores.shape)


def _recolour(view: Windows, settings: SelfDistillationSettings) -> Tensor:
    limit = settings.colour_jitter
    return jitter_colours(view.pixels, brightness=limit, contrast=limit, saturation=limit, hue_turn=settings.hue_turn)


def _standardise(statistics: Tensor) -> Tensor:
    """Zero mean and unit deviation per channel over the batch."""
    flat = statistics.flatten(0, 1)
    return (statistics - flat.mean(0)) / (flat.std(0) + 1e-4)


@torch.no_grad()
def _follow(teacher: nn.Module, student: nn.Module, decay: float) -> None:
    for slow, fast in zip(teacher.parameters(), student.parameters()):
        slow.mul_(decay).add_(fast, alpha=1 - decay)


def _teacher_decay(step: int, settings: SelfDistillationSettings) -> float:
    first, last = settings.teacher_decay
    return last - (last - first) * (math.cos(math.pi * step / settings.steps) + 1) / 2


def _set_learning_rate(optimiser: torch.optim.Optimizer, step: int, settings: SelfDistillationSettings) -> None:
    """Linear warm-up, then a cosine down to a hundredth."""
    warm_up = max(1, round(settings.warm_up_share * settings.steps))
    if step < warm_up:
        factor = (step + 1) / warm_up
    else:
        share = (step - warm_up) / max(1, settings.steps - warm_up)
        factor = 0.01 + 0.99 * (1 + math.cos(math.pi * share)) / 2
    for group in optimiser.param_groups:
        group["lr"] = settings.learning_rate * factor


def _groups(module: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Weight decay for matrices, none for biases, norms, positions and tokens (DINO)."""
    matrices = [p for n, p in module.named_parameters() if p.ndim >= 2 and "embeddings." not in n and "token" not in n]
    kept = {id(p) for p in matrices}
    rest = [p for p in module.parameters() if id(p) not in kept]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": rest, "weight_decay": 0.0}]


def _flat(settings: SelfDistillationSettings) -> dict[str, object]:
    return {name: value if isinstance(value, int | float) else repr(value) for name, value in asdict(settings).items()}


def _require_whole_patches(settings: SelfDistillationSettings, patch_px: int) -> None:
    sizes = {"window_px": settings.window_px} | ({"local_px": settings.local_px} if settings.local_windows else {})
    for name, size in sizes.items():
        if size < patch_px or size % patch_px:
            raise ValueError(
                f"Expected `{name}` to be a multiple of the patch size {patch_px}, but got {size}; "
                f"{max(1, round(size / patch_px)) * patch_px} fits."
            )
