"""Visual words: a small vision transformer learns, in minutes, to name each patch by the words of a vocabulary.

Rounds alternate between making a vocabulary and learning to predict it, as HuBERT does for speech (Hsu et al., 2021)
and DeepCluster for pictures (Caron et al., ECCV 2018):

* the first vocabulary is k-means on local statistics (`local_statistics`), every later one k-means on the tokens of
  the network that the round before has trained;
* the network then predicts the word of every patch of a window that is zoomed, mirrored, recoloured, and partly
  hidden, so that a word comes to mean the same in sun and shade, near and far, and is told from its surroundings too;
* where the class token is wanted (for saliency), it predicts the bag of words of the window (Gidaris et al., CVPR
  2020), each word counted by how much more often it occurs than usual: to know which rare words are there, the class
  token has to look at what is rare, and streets have objects for that.

Why not distillation from a moving-average teacher (DINO, iBOT)? Its targets start at random and need thousands of
steps to mean something; words mean something from the first step, and need no second network and no second window.
After the same short training the tokens gave about half as much again in mean IoU under k-means, and the class token
looked at vehicles and people rather than at the road (measured on rendered streets). All decisions ours; nothing but
pictures can be handed in.
"""

from __future__ import annotations

import math
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mbps_dataset.settings import Settings, require_ascending, setting
from mbps_dataset.stages.network_pixels import imagenet_normalised
from mbps_dataset.stages.overclustering import fit_kmeans
from mbps_dataset.training.checkpointing import Checkpoint, seeded
from mbps_dataset.training.local_statistics import local_statistics, standardise
from mbps_dataset.training.masking import draw_block_masks
from mbps_dataset.training.precision import half_precision
from mbps_dataset.training.progress import TrainingProgress
from mbps_dataset.training.schedules import matrices_decay, set_warm_up_and_cosine
from mbps_dataset.training.views import (
    Pictures,
    Windows,
    draw_picture_indices,
    draw_windows,
    jitter_windows,
)


SAVE_EVERY = 100
"""Steps between two checkpoint files."""


@dataclass(frozen=True)
class VisualWordsSettings(Settings):
    """How to train; the defaults are those of the shipped semantic backbone (ours, as all of this file)."""

    rounds: int = setting(3, "vocabularies, one after the other", at_least=1)
    steps_per_round: int = setting(500, "optimiser steps of each", at_least=1)
    words: int = setting(128, "size of the vocabulary", at_least=2)
    windows_per_step: int = setting(8, "windows of one step", at_least=1)
    window_px: int = setting(
        322, "side of a window fed to the network, a multiple of the patch size", unit="pixels", at_least=1
    )
    window_share: tuple[float, float] = setting(
        (0.7, 1.0), "least and largest window side over the shorter picture side", at_least=0.01, at_most=1
    )
    colour_jitter: float = setting(
        0.3, "brightness, contrast and saturation are multiplied by 1 +- at most this", at_least=0, at_most=1
    )
    hue_turn: float = setting(
        0.03, "hue is turned by at most this", unit="turns of the colour circle", at_least=0, at_most=1
    )
    masked_share: tuple[float, float] = setting(
        (0.0, 0.3), "least and largest share of a window's tokens that is hidden", source="as iBOT, by blocks",
        at_least=0, at_most=1,
    )  # fmt: skip
    temperature: float = setting(0.1, "of the cosines between tokens and words", at_least=1e-4)
    vocabulary_tokens: int = setting(20_000, "tokens that k-means sees", at_least=1)
    bag_weight: float = setting(
        0.0, "weight of the class token's loss; 0 leaves the class token untrained", at_least=0
    )
    learning_rate: float = setting(1e-3, "largest, of AdamW", at_least=0)
    weight_decay: float = setting(0.04, "of matrices, by AdamW", at_least=0)
    seed: int = setting(0, "seed of vocabularies, windows and order", at_least=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_ascending(self, "window_share", "masked_share")


def train_visual_words(
    network: nn.Module,
    pictures: Pictures,
    settings: VisualWordsSettings,
    *,
    width: int,
    patch_px: int,
    checkpoint_folder: str | os.PathLike[str] | None = None,
    show_progress: bool = True,
) -> nn.Module:
    """Train `network` in place and return it in evaluation mode.

    `network` takes ``pixel_values`` and ``bool_masked_pos`` and gives ``last_hidden_state`` with the patches last;
    `width` D of its tokens. `pictures` are uint8 [H, W, 3] arrays. One seed gives one result on one machine, also when
    continued from `checkpoint_folder`, which holds one file per round. Runs on the device of the network.
    """
    if settings.window_px % patch_px:
        raise ValueError(
            f"Expected `window_px` to be a multiple of the patch size {patch_px}, but got {settings.window_px}; "
            f"{max(1, round(settings.window_px / patch_px)) * patch_px} fits."
        )
    folder = None if checkpoint_folder is None else Path(checkpoint_folder)
    for number in range(settings.rounds):
        with seeded(settings.seed * 1000 + number):
            trained = _Round(network, width, pictures, settings, patch_px, number)
            trained.run(None if folder is None else folder / f"words_{number}.pt", show_progress)
    return network.eval()


class _Round:
    """One vocabulary and the training that predicts it."""

    def __init__(
        self,
        network: nn.Module,
        width: int,
        pictures: Pictures,
        settings: VisualWordsSettings,
        patch_px: int,
        number: int,
    ) -> None:
        self.network, self.pictures, self.settings = network, pictures, settings
        self.patch_px, self.number = patch_px, number
        self.side = settings.window_px // patch_px
        self.device = next(network.parameters()).device
        self.words = nn.Parameter(torch.randn(settings.words, width, device=self.device))
        self.class_words = nn.Parameter(torch.randn(settings.words, width, device=self.device))
        self.maps = _WordMaps()

    def run(self, path: Path | None, show_progress: bool) -> None:
        """Make the vocabulary (unless resumed), then train for this round's steps."""
        settings, holder = self.settings, nn.ParameterList([self.words, self.class_words])
        parameters = matrices_decay([self.network, holder], settings.weight_decay)
        optimiser = torch.optim.AdamW(parameters, lr=settings.learning_rate)
        plain = {
            name: value if isinstance(value, int | float) else repr(value) for name, value in asdict(settings).items()
        }
        checkpoint = Checkpoint(
            path, settings=plain | {"round": self.number}, every=SAVE_EVERY,
            network=self.network, words=holder, maps=self.maps, optimiser=optimiser,
        )  # fmt: skip
        start = checkpoint.resume()
        if len(self.maps.words) == 0:
            self._make_vocabulary()
            checkpoint.save(0)
        steps = settings.steps_per_round
        with TrainingProgress(
            f"words, round {self.number + 1}", start=start, stop=steps, show=show_progress
        ) as progress:
            self.network.train()
            for step in progress:
                set_warm_up_and_cosine(optimiser, settings.learning_rate, step, steps)
                word_loss, bag_loss, right = self._losses()
                optimiser.zero_grad()
                (word_loss + settings.bag_weight * bag_loss).backward()
                nn.utils.clip_grad_norm_([*self.network.parameters(), *holder], 3.0)
                optimiser.step()
                shown = {"words": word_loss, "right": right} | ({"bag": bag_loss} if settings.bag_weight else {})
                progress.report({name: float(value.detach()) for name, value in shown.items()})
                checkpoint.step_done(step + 1)
        if start < steps:
            checkpoint.save(steps)

    def _losses(self) -> tuple[Tensor, Tensor, Tensor]:
        """Cross-entropy of the words of one batch and of their bags, and the share of words guessed right."""
        settings = self.settings
        indices = draw_picture_indices(settings.windows_per_step, self.pictures)
        view = draw_windows(self.pictures, indices, settings.window_px, share=settings.window_share)
        limit = settings.colour_jitter
        pixels = jitter_windows(
            view.pixels, brightness=limit, contrast=limit, saturation=limit, hue_turn=settings.hue_turn
        )
        mask = draw_block_masks(len(pixels), self.side, settings.masked_share).to(self.device)
        target = self.maps.under(view, indices, self.side).to(self.device)
        with half_precision(self.device):
            tokens = self.network(
                pixel_values=imagenet_normalised(pixels.to(self.device)), bool_masked_pos=mask
            ).last_hidden_state
            cosines = F.normalize(tokens[:, -(self.side**2) :], dim=-1) @ F.normalize(self.words, dim=-1).T
            class_cosines = F.normalize(tokens[:, 0], dim=-1) @ F.normalize(self.class_words, dim=-1).T
        scores = cosines.float().flatten(0, 1) / settings.temperature
        right = (scores.argmax(dim=1) == target.flatten()).float().mean()
        bags = surprising_words(target, self.maps.frequency(settings.words).to(self.device))
        class_scores = F.log_softmax(class_cosines.float() / settings.temperature, dim=1)
        return F.cross_entropy(scores, target.flatten()), -(bags * class_scores).sum(dim=1).mean(), right

    def _tokens(self, pixels: Tensor) -> Tensor:
        return self.network(pixel_values=pixels).last_hidden_state[:, -(self.side**2) :]

    @torch.no_grad()
    def _make_vocabulary(self) -> None:
        """Describe every picture, fit the words, and remember the word of every patch."""
        self.network.eval()
        describe = self._describe_by_statistics if self.number == 0 else self._describe_by_network
        maps = [
            describe(_resized(self.pictures[index], self.settings.window_px, self.patch_px))
            for index in range(len(self.pictures))
        ]
        rows = torch.cat([item.flatten(1).T for item in maps])
        if self.number == 0:
            rows = standardise(rows)
        chosen = torch.randperm(len(rows))[: self.settings.vocabulary_tokens]
        words = fit_kmeans(
            rows[chosen].numpy(), self.settings.words, seed=self.settings.seed, restarts=1, iterations=30
        )
        self.maps.set(_nearest(rows, words), [(item.shape[1], item.shape[2]) for item in maps])

    def _describe_by_statistics(self, pixels: Tensor) -> Tensor:
        return local_statistics(pixels, self.patch_px)[0]

    def _describe_by_network(self, pixels: Tensor) -> Tensor:
        """Tokens of the whole picture [1, 3, H, W] from square windows side by side: [D, H / patch, W / patch]."""
        size, patch = self.settings.window_px, self.patch_px
        tops, lefts = (sorted({*range(0, extent - size + 1, size), extent - size}) for extent in pixels.shape[2:])
        corners = [(top, left) for top in tops for left in lefts]
        windows = torch.cat([pixels[..., top : top + size, left : left + size] for top, left in corners])
        with half_precision(self.device):
            tokens = self._tokens(imagenet_normalised(windows.to(self.device))).float().cpu()
        whole = torch.empty(tokens.shape[-1], pixels.shape[2] // patch, pixels.shape[3] // patch)
        for (top, left), window in zip(corners, tokens.transpose(1, 2).unflatten(2, (self.side, self.side))):
            row, column = top // patch, left // patch
            whole[:, row : row + self.side, column : column + self.side] = window
        return whole


class _WordMaps:
    """The word of every patch of every picture."""

    def __init__(self) -> None:
        self.words, self.sizes = torch.zeros(0, dtype=torch.int32), torch.zeros(0, 2, dtype=torch.int64)

    def set(self, words: Tensor, sizes: list[tuple[int, int]]) -> None:
        self.words, self.sizes = words.to(torch.int32), torch.tensor(sizes)

    def frequency(self, words: int) -> Tensor:
        """Share of each word over all patches of all pictures: float32 [words]."""
        return torch.bincount(self.words.long(), minlength=words).float() / len(self.words)

    def under(self, view: Windows, indices: list[int], side: int) -> Tensor:
        """Word at the centre of each token of each window: int64 [B, side^2]."""
        starts = torch.cat([torch.zeros(1, dtype=torch.int64), self.sizes.prod(dim=1).cumsum(0)])
        rows, columns = (view.spots(side)[..., axis] for axis in (0, 1))
        size = self.sizes[indices]
        row = (rows * size[:, :1]).long().clamp(min=0).minimum(size[:, :1] - 1)
        column = (columns * size[:, 1:]).long().clamp(min=0).minimum(size[:, 1:] - 1)
        return self.words[starts[indices][:, None] + row * size[:, 1:] + column].long()

    def state_dict(self) -> dict[str, Tensor]:
        return {"words": self.words, "sizes": self.sizes}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.words, self.sizes = state["words"], state["sizes"]


def surprising_words(words: Tensor, frequency: Tensor) -> Tensor:
    """How much more often each word occurs in a window than it usually does, as a distribution.

    `words` int64 [B, P], `frequency` [K] shares that sum to 1 -> float [B, K], rows sum to 1: share in the window over
    usual share.
    """
    counts = F.one_hot(words, len(frequency)).sum(dim=1).float()
    excess = counts / frequency.clamp(min=1e-6)
    return excess / excess.sum(dim=1, keepdim=True)


def _resized(picture: np.ndarray, short_side: int, patch_px: int) -> Tensor:
    """[1, 3, h, w] in [0, 1], shorter side `short_side`, the longer rounded down to whole patches."""
    pixels = torch.tensor(np.asarray(picture)).permute(2, 0, 1)[None].float() / 255
    scale = short_side / min(picture.shape[:2])
    size = [max(short_side, math.floor(round(extent * scale) / patch_px) * patch_px) for extent in picture.shape[:2]]
    if list(picture.shape[:2]) == size:
        return pixels
    return F.interpolate(pixels, size, mode="bilinear", antialias=scale < 1)


def _nearest(rows: Tensor, words: np.ndarray) -> Tensor:
    """Index of the word of highest cosine per row, in blocks."""
    unit = F.normalize(torch.from_numpy(words).float(), dim=1)
    return torch.cat([(F.normalize(block, dim=1) @ unit.T).argmax(dim=1) for block in rows.split(1 << 16)])
