"""Tensors of the published names drawn from these names, as the golden numbers of the cascade were made, and its files."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from mbps_dataset.models.checkpoints import shapes_of
from tests.models.published import normal_named
from tests.vectors import load_vectors, vector_path


BASE_SEED = 7101
GAINS = {
    "anchor_deltas.weight": 0.2,
    "cls_score.weight": 3.0,
    "bbox_pred.weight": 2.0,
    "mask_head.predictor.weight": 6.0,
    "sem_seg_head.predictor.weight": 2.0,
}


def cascade_vectors(name: str) -> tuple[dict[str, NDArray], dict[str, Any]]:
    """Arrays and notes of a file of golden numbers; the test is skipped where the larger ones are not at hand."""
    if not os.environ.get("MBPS_VECTORS") and not vector_path(f"cascade/{name}.npz").exists():
        pytest.skip(f"cascade/{name}.npz is not among the copies in tests/data; MBPS_VECTORS names the folder of all.")
    vectors = load_vectors(f"cascade/{name}")
    return vectors, json.loads(str(vectors["meta_json"]))


def tensor(array: NDArray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))


def noise(seed: int, shape: tuple[int, ...] | list[int], scale: float = 1.0) -> torch.Tensor:
    """float32 normal numbers of a seed."""
    return torch.from_numpy((np.random.RandomState(seed).standard_normal(tuple(shape)) * scale).astype(np.float32))


def first_come(count: int, device: torch.device) -> torch.Tensor:
    """The order as it is, int64 [count]: the draw of the golden numbers, which any machine can repeat."""
    return torch.arange(count, device=device)


def levels(meta: Mapping[str, Any]) -> list[torch.Tensor]:
    """The pyramid that a file of golden numbers names by seeds."""
    return [noise(*meta["inputs"][name]) for name in sorted(meta["inputs"])]


def masks(packed: NDArray, height: int, width: int) -> torch.Tensor:
    """Masks bool [N, H, W] from packed bits."""
    flat = (
        np.unpackbits(packed, axis=1)[:, : height * width] if packed.size else np.zeros((len(packed), height * width))
    )
    return torch.from_numpy(flat.reshape(-1, height, width).astype(bool))


def drawn(name: str, shape: tuple[int, ...], seed: int = BASE_SEED) -> torch.Tensor:
    """The tensor of a published name."""
    if name.endswith("num_batches_tracked"):
        return torch.zeros((), dtype=torch.int64)
    return _drawn(name, shape, seed)


@lru_cache(maxsize=600)
def _drawn(name: str, shape: tuple[int, ...], seed: int) -> torch.Tensor:
    normal, last = normal_named(name, shape, seed), name.rpartition(".")[2]
    if last in ("bias", "running_mean"):
        values = 0.05 * normal
    elif last == "running_var":
        values = 1 + 0.1 * np.abs(normal)
    elif len(shape) == 1:
        values = 1 + 0.1 * normal
    else:
        values = normal * np.float32(1 / np.sqrt(np.prod(shape[1:])))
    gain = next((factor for end, factor in GAINS.items() if name.endswith(end)), 1.0)
    return torch.from_numpy((values * np.float32(gain)).astype(np.float32))


def drawn_state(
    module: torch.nn.Module, prefix: str = "", overrides: Mapping[str, int] | None = None
) -> dict[str, torch.Tensor]:
    """Tensors for all of a part of the network, whose published names begin with `prefix`."""
    overrides, state = overrides or {}, {}
    for name, shape in shapes_of(module).items():
        seed = next((seed for part, seed in overrides.items() if part in prefix + name), BASE_SEED)
        state[name] = drawn(prefix + name, shape, seed)
    return state


def with_drawn_weights(
    module: torch.nn.Module, prefix: str = "", overrides: Mapping[str, int] | None = None
) -> torch.nn.Module:
    """The part itself, in evaluation mode, holding them."""
    module.load_state_dict({name: values.clone() for name, values in drawn_state(module, prefix, overrides).items()})
    return module.eval()


def gradient_norms(module: torch.nn.Module, prefix: str = "") -> dict[str, float]:
    """L2 norm of the gradient of each parameter, by published name."""
    return {
        prefix + name: 0.0 if one.grad is None else float(one.grad.norm()) for name, one in module.named_parameters()
    }


def assert_gradient_norms(module: torch.nn.Module, prefix: str, names: NDArray, norms: NDArray, rtol: float) -> None:
    """Every gradient that a file of golden numbers lists."""
    found, listed = (
        gradient_norms(module, prefix),
        json.loads(str(names)) if names.ndim == 0 else [str(n) for n in names],
    )
    assert len(listed) == len(norms) > 0
    for name, norm in zip(listed, norms):
        own = name if name in found else prefix + name
        np.testing.assert_allclose(found[own], norm, rtol=rtol, atol=1e-6, err_msg=name)
