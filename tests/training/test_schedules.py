"""The learning rate rises and falls; only matrices decay."""

from __future__ import annotations

import torch

from mbps_dataset.training.schedules import matrices_decay, set_warm_up_and_cosine


def test_rate_rises_then_falls_to_a_hundredth() -> None:
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    rates = []
    for step in range(100):
        set_warm_up_and_cosine(optimiser, 0.5, step, 100)
        rates.append(optimiser.param_groups[0]["lr"])
    assert rates[0] == 0.05 and max(rates) == rates[9] == 0.5
    assert all(a >= b for a, b in zip(rates[9:], rates[10:])) and abs(rates[-1] - 0.005) < 1e-3


def test_only_matrices_decay() -> None:
    module = torch.nn.ModuleDict({"linear": torch.nn.Linear(3, 2), "norm": torch.nn.LayerNorm(2)})
    module["embeddings"] = torch.nn.Embedding(4, 2)
    decays, others = matrices_decay([module], 0.1)
    assert [p.shape for p in decays["params"]] == [(2, 3)] and decays["weight_decay"] == 0.1
    assert len(others["params"]) == 4 and others["weight_decay"] == 0.0
