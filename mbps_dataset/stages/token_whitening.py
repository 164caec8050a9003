"""Backbone tokens made codes in closed form: centred, and whitened (ours). Nothing is trained.

With tokens x of D channels, mean μ, covariance Σ = V diag(λ) Vᵀ, λ falling,

    code = Wᵀ (x − μ),   W = V_C diag((λ_c + s λ̄)^-1/2),   λ̄ the mean of all λ

for the C leading directions. Whitening gives directions that tell classes apart, but vary little, the voice of those
that vary much; the shrinkage s λ̄ keeps what is mostly noise from being as loud. C = 0 only takes the mean away.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from mbps_dataset.errors import RecipeError


@dataclass(frozen=True, eq=False)
class TokenWhitening:
    """`mean` μ float64 [D] and `projection` W float64 [D, C], or None where tokens are only centred.

    `explained` is the share of the variance that the directions of `projection` hold.
    """

    mean: Tensor
    projection: Tensor | None
    explained: float = 1.0

    def __call__(self, tokens: Tensor) -> Tensor:
        """Codes [..., C] of tokens [..., D]."""
        centred = tokens.to(self.mean) - self.mean
        return centred if self.projection is None else centred @ self.projection


def fit_token_whitening(batches: Iterable[Tensor], code_dim: int, *, shrinkage: float = 1.0) -> TokenWhitening:
    """Mean and projection from tokens [..., D], summed in float64 batch by batch; `code_dim` C, 0 for the mean alone.

    A direction and its opposite are one; its largest entry is positive. Raises `RecipeError` if there are fewer tokens, or
    fewer channels, than `code_dim`.
    """
    count, total, products = 0, torch.zeros(0), torch.zeros(0)
    for batch in batches:
        rows = batch.reshape(-1, batch.shape[-1]).double().cpu()
        total = rows.sum(dim=0) + (total if count else 0)
        products = rows.T @ rows + (products if count else 0)
        count += len(rows)
    channels = len(total)
    if min(count, channels) < max(code_dim, 1):
        raise RecipeError(
            f"{code_dim} code channels need as many tokens and backbone channels; there are {count} and {channels}."
        )
    mean = total / count
    if code_dim == 0:
        return TokenWhitening(mean, None)
    variance, directions = torch.linalg.eigh(products / count - torch.outer(mean, mean))
    variance, leading = variance.flip(0).clamp(min=0), directions.flip(1)[:, :code_dim]
    leading = leading * leading.gather(0, leading.abs().argmax(dim=0, keepdim=True)).sign()
    scale = (variance[:code_dim] + shrinkage * variance.mean()).clamp(min=1e-12).rsqrt()
    explained = float(variance[:code_dim].sum() / variance.sum().clamp(min=1e-12))
    return TokenWhitening(mean, leading * scale, explained)
