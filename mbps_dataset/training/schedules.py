"""Learning rate over time, and which parameters decay: what transformers are usually trained with (DINO, iBOT)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn


def set_warm_up_and_cosine(
    optimiser: torch.optim.Optimizer, peak: float, step: int, steps: int, *, warm_up_share: float = 0.1
) -> None:
    """Linear rise to `peak` over the first share of the steps, then half a cosine down to a hundredth of it."""
    warm_up = max(1, round(warm_up_share * steps))
    if step < warm_up:
        factor = (step + 1) / warm_up
    else:
        factor = 0.01 + 0.99 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up))) / 2
    for group in optimiser.param_groups:
        group["lr"] = peak * factor


def matrices_decay(modules: Iterable[nn.Module], weight_decay: float) -> list[dict[str, Any]]:
    """Parameter groups: weight decay for matrices, none for biases, norms, positions and special tokens."""
    named = [item for module in modules for item in module.named_parameters()]
    decays = [p for n, p in named if p.ndim >= 2 and "embeddings." not in n and "token" not in n]
    kept = {id(p) for p in decays}
    others = [p for _, p in named if id(p) not in kept]
    return [{"params": decays, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
