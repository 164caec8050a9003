"""Modularity: vectors that group tokens so that similar tokens share a group (CAUSE stages 1 and 3).

The loss is Newman's modularity of the graph whose nodes are a picture's tokens and whose edge weights are their
non-negative cosines (Kim, Lee and Ro, "Causal Unsupervised Semantic Segmentation", 2023, section 3.2). Decisions, as
in the reference code:

* one token out of every 4 x 4 block is drawn at random (`grid_sample`), which keeps the graph small; rows and columns
  that do not fill a block are dropped;
* two tokens belong together as far as ``max_k tanh(C_ik C_jk / temperature)``, with ``C`` the non-negative cosines to
  the vectors, so a group is never assigned hard and gradients reach every vector that wins somewhere;
* the tokens are constants: only the vectors (codebook or cluster probe) learn.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class TokenGraph(NamedTuple):
    """Tokens as a graph: `modularity` [B, P, P] = A - d d^T / e, `edge_sum` [B, 1, 1] = e."""

    modularity: Tensor
    edge_sum: Tensor


def token_graph(tokens: Tensor) -> TokenGraph:
    """Graph of non-negative cosines without self-edges; `tokens` [B, P, D] float."""
    unit = F.normalize(tokens, dim=-1)
    adjacency = (unit @ unit.transpose(1, 2)).clamp(min=0)
    adjacency = adjacency - torch.diag_embed(torch.diagonal(adjacency, dim1=1, dim2=2))
    degree = adjacency.sum(dim=2, keepdim=True)
    edge_sum = degree.sum(dim=1, keepdim=True)
    expected = (degree / edge_sum) @ (degree.transpose(1, 2) / edge_sum) * edge_sum
    return TokenGraph(adjacency - expected, edge_sum)


def assignments(tokens: Tensor, vectors: Tensor) -> Tensor:
    """Non-negative cosines of `tokens` [B, P, D] to `vectors` [K, D]: [B, P, K] in [0, 1]."""
    return (F.normalize(tokens, dim=-1) @ F.normalize(vectors, dim=-1).T).clamp(min=0)


def modularity_loss(tokens: Tensor, vectors: Tensor, *, temperature: float = 0.1) -> Tensor:
    """``-mean_b trace((W / e) delta)`` with ``delta_ij = max_k tanh(C_ik C_jk / temperature)``; scalar, at least -1.

    `tokens` [B, P, D] (no gradient is taken), `vectors` [K, D]. Source: CAUSE, equation 4 and its code.
    """
    graph = token_graph(tokens.detach())
    assigned = assignments(tokens.detach(), vectors)
    together = torch.stack([_largest_agreement(one, temperature) for one in assigned])
    return -(graph.modularity / graph.edge_sum * together.transpose(1, 2)).sum(dim=(1, 2)).mean()


def _largest_agreement(assigned: Tensor, temperature: float) -> Tensor:
    """max_k tanh(C_ik C_jk / t) for one picture [P, K] -> [P, P]; tanh grows, so the maximum is taken before it."""
    return torch.tanh((assigned[:, None, :] * assigned[None, :, :]).amax(dim=2) / temperature)


def draw_grid_order(pictures: int, side: int, *, block: int = 4, device: torch.device | None = None) -> Tensor:
    """Which token of each block to take: int64 [pictures * (side // block)^2], each in [0, block^2), picture-major.

    Drawn from torch's default generator. Raises `ValueError` if not even one block fits.
    """
    if side < block:
        raise ValueError(
            f"Expected a token grid of at least {block}x{block}, but got {side}x{side}; use larger crops."
        )
    return torch.randint(block * block, (pictures * (side // block) ** 2,), device=device)


def grid_sample(tokens: Tensor, order: Tensor, *, block: int = 4) -> Tensor:
    """Take one token per block: `tokens` [B, P, D] with P square, row-major -> [B, (side // block)^2, D].

    Raises `ValueError` if P is not a square or `order` has not one entry per block.
    """
    batch, count, width = tokens.shape
    side = round(count**0.5)
    if side * side != count:
        raise ValueError(f"Expected a square number of tokens, but got {count}; crop square pictures.")
    blocks = side // block
    if order.numel() != batch * blocks * blocks:
        raise ValueError(f"Expected {batch * blocks * blocks} entries in `order`, but got {order.numel()}.")
    grid = tokens.reshape(batch, side, side, width)[:, : blocks * block, : blocks * block]
    grid = grid.reshape(batch, blocks, block, blocks, block, width).permute(0, 1, 3, 2, 4, 5)
    flat = grid.reshape(batch * blocks * blocks, block * block, width)
    chosen = flat[torch.arange(len(flat), device=tokens.device), order]
    return chosen.reshape(batch, blocks * blocks, width)
