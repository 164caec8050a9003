"""Contrastive learning between tokens that share a codebook vector, with a bank of earlier tokens (CAUSE stage 2).

Decisions, as in the reference code:

* Two tokens are a positive pair when the codebook vectors they fall on have a cosine above 0.3, a negative pair below
  0.1, and are left out between; a token is no positive of itself.
* Anchors come from the student, the others from the teacher: all tokens of the batch, and a second term for the bank.
  Each term is the mean over its positive pairs of ``-s + log(sum over positives and negatives of exp(s))``; the loss
  is the mean over terms.
* The bank keeps the newest 100 teacher projections per codebook vector; of what a batch brings, a random half per
  vector enters.

A term without a positive pair is left out here (the reference code would divide by zero).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mbps_dataset.settings import Settings, setting


@dataclass(frozen=True)
class ContrastiveSettings(Settings):
    """Temperature of the cosines, and the codebook cosines that make positives and negatives."""

    temperature: float = setting(0.07, "of the cosines between projections", source="CAUSE", at_least=1e-4)
    positive_above: float = setting(
        0.3, "cosine of two tokens' codebook rows above which they are a pair", source="CAUSE", at_least=-1, at_most=1
    )
    negative_below: float = setting(
        0.1, "cosine of two tokens' codebook rows below which they are apart", source="CAUSE", at_least=-1, at_most=1
    )


PUBLISHED = ContrastiveSettings()
"""What CAUSE was trained with."""


def nearest_codebook_index(tokens: Tensor, codebook: Tensor) -> Tensor:
    """Row of `codebook` [K, D] with the highest cosine to each token: `tokens` [..., D] -> int64 [...]."""
    return (F.normalize(tokens, dim=-1) @ F.normalize(codebook, dim=-1).T).argmax(dim=-1)


def contrastive_loss(
    features: Tensor,
    student: Tensor,
    teacher: Tensor,
    codebook: Tensor,
    *,
    bank_features: Tensor | None = None,
    bank_indices: Tensor | None = None,
    settings: ContrastiveSettings = PUBLISHED,
) -> Tensor:
    """Mean over pictures and over {batch, bank} of the pairwise contrastive terms; scalar.

    `features` [B, P, D] backbone tokens (decide the pairs), `student` and `teacher` [B, P, C] projections of the same
    tokens, `codebook` [K, D], `bank_features` [N, C] with their codebook rows `bank_indices` [N]. Gradients flow into
    `student` only. Source: CAUSE, equation 6 and its code.
    """
    batch, count, _ = features.shape
    entries = nearest_codebook_index(features, codebook)
    similar = F.normalize(codebook, dim=-1) @ F.normalize(codebook, dim=-1).T
    others = F.normalize(teacher.detach().reshape(batch * count, -1), dim=-1)
    anchors = F.normalize(student, dim=-1)
    bank = None if bank_features is None or len(bank_features) == 0 else F.normalize(bank_features.detach(), dim=-1)
    terms: list[Tensor] = []
    for picture in range(batch):
        pairs = similar[entries[picture]][:, entries.reshape(-1)]
        own = torch.arange(count, device=features.device)
        itself = F.one_hot(picture * count + own, batch * count).bool()
        terms += _pair_term(anchors[picture] @ others.T, pairs, itself, settings)
        if bank is not None:
            terms += _pair_term(anchors[picture] @ bank.T, similar[entries[picture]][:, bank_indices], None, settings)
    if not terms:
        return student.sum() * 0
    return torch.stack(terms).mean()


@dataclass(frozen=True)
class PairShares:
    """Shares of the pairs of tokens of a batch that the loss pulls together and pushes apart."""

    positive: float
    negative: float


def pair_shares(features: Tensor, codebook: Tensor, settings: ContrastiveSettings = PUBLISHED) -> PairShares:
    """Of all pairs of tokens [B, P, D], a token with itself left out."""
    entries = nearest_codebook_index(features, codebook).flatten()
    similar = F.normalize(codebook, dim=-1) @ F.normalize(codebook, dim=-1).T
    pairs = similar[entries][:, entries][~torch.eye(len(entries), dtype=torch.bool, device=entries.device)]
    positive, negative = (pairs > settings.positive_above), (pairs < settings.negative_below)
    return PairShares(float(positive.float().mean()), float(negative.float().mean()))


def _pair_term(cosines: Tensor, pairs: Tensor, excluded: Tensor | None, settings: ContrastiveSettings) -> list[Tensor]:
    """One term, or none without positives. `cosines` and codebook cosines `pairs` are [anchors, others]."""
    positive = pairs > settings.positive_above
    negative = pairs < settings.negative_below
    if excluded is not None:
        positive = positive & ~excluded
        negative = negative & ~excluded
    if not positive.any():
        return []
    logits = cosines / settings.temperature
    logits = logits - logits.detach().amax(dim=1, keepdim=True)
    total = (logits.exp() * (positive | negative)).sum(dim=1, keepdim=True)
    return [(torch.log(total.clamp(min=1e-30)) - logits)[positive].mean()]


class TokenBank:
    """The newest teacher projections of every codebook vector; a first-in first-out ring per vector.

    `vectors` codebook rows, `width` of a projection, `capacity` per row. Has `state_dict`, so that a checkpoint
    carries it.
    """

    def __init__(self, vectors: int, width: int, *, capacity: int = 100) -> None:
        self.features = torch.zeros(vectors, capacity, width)
        self.filled = torch.zeros(vectors, dtype=torch.int64)  # how many were ever written to each row's ring

    def to(self, device: torch.device) -> TokenBank:
        """Move the bank to a device and return it."""
        self.features, self.filled = self.features.to(device), self.filled.to(device)
        return self

    def add(self, projections: Tensor, indices: Tensor) -> None:
        """Keep a random half (rounded up) per codebook row of `projections` [N, C], whose rows are `indices` [N]."""
        projections, indices = projections.detach().to(self.features), indices.to(self.filled.device)
        order = torch.randperm(len(indices), device=indices.device)
        projections, indices = projections[order], indices[order]
        for row in indices.unique().tolist():
            mine = projections[indices == row]
            mine = mine[: (len(mine) + 1) // 2][: self.features.shape[1]]
            slots = (self.filled[row] + torch.arange(len(mine), device=indices.device)) % self.features.shape[1]
            self.features[row, slots] = mine
            self.filled[row] += len(mine)

    def contents(self) -> tuple[Tensor, Tensor]:
        """Everything kept: projections [N, C] and their codebook rows [N]; N = 0 while nothing was added."""
        capacity = self.features.shape[1]
        used = torch.arange(capacity, device=self.filled.device)[None] < self.filled.clamp(max=capacity)[:, None]
        rows, slots = used.nonzero(as_tuple=True)
        return self.features[rows, slots], rows

    def state_dict(self) -> dict[str, Any]:
        """Tensors of the bank."""
        return {"features": self.features, "filled": self.filled}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put back what `state_dict` gave."""
        self.features = state["features"].to(self.features).clone()
        self.filled = state["filled"].to(self.filled).clone()
