"""The pose network: every published tensor fits, and the reference's numbers come out."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from mbps_dataset.errors import WeightsError
from mbps_dataset.models.spidepth.pose import TINY_POSE, PoseConfig, PoseNetwork
from tests.vectors import load_vectors


DATA = Path(__file__).parents[2] / "data"
SHAPES: dict[str, list[int]] = json.loads((DATA / "spidepth_pose_shapes.json").read_text(encoding="utf-8"))


def _recipe(name: str, shape: list[int]) -> Tensor:
    """The weights the golden numbers were made with: drawn from the tensor's own name."""
    if name.endswith("num_batches_tracked"):
        return torch.zeros((), dtype=torch.int64)
    normal = np.random.RandomState(zlib.crc32(name.encode()) ^ 605).standard_normal(shape).astype(np.float32)
    if name.endswith(("bias", "running_mean")):
        values = normal * np.float32(0.05)
    elif name.endswith("running_var"):
        values = 1 + np.float32(0.1) * np.abs(normal)
    elif len(shape) == 1:
        values = 1 + np.float32(0.1) * normal
    else:
        values = normal * np.float32(1 / np.sqrt(np.prod(shape[1:])))
    return torch.from_numpy(values)


@pytest.fixture(scope="module")
def published() -> dict[str, Tensor]:
    return {name: _recipe(name, shape) for name, shape in SHAPES.items()}


def test_published_names_and_shapes_are_ours() -> None:
    with torch.device("meta"):
        ours = {name: list(tensor.shape) for name, tensor in PoseNetwork().state_dict().items()}
    assert ours == SHAPES


def test_reference_vectors(published: dict[str, Tensor]) -> None:
    network = PoseNetwork.from_reference(published).eval()
    golden = load_vectors("spidepth_pose_recipe")
    with torch.no_grad():
        rotation, translation = network(torch.from_numpy(golden["images"]))
        np.testing.assert_allclose(rotation.numpy(), golden["axisangle"][:, 0, 0], rtol=0, atol=1e-5)
        np.testing.assert_allclose(translation.numpy(), golden["translation"][:, 0, 0], rtol=0, atol=1e-5)
    assert np.abs(translation.numpy()).max() > 1e-3  # the tolerance above is not the size of the numbers


def test_tiny_network_is_small_and_starts_near_standing_still() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = PoseNetwork(TINY_POSE)
        motion = torch.cat(network(torch.rand(3, 6, 48, 96)), 1)
    assert sum(parameter.numel() for parameter in network.parameters()) < 500_000
    assert motion.shape == (3, 6)
    assert motion.abs().max() < 0.05
    motion.sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_bad_input_is_named(published: dict[str, Tensor]) -> None:
    network = PoseNetwork(TINY_POSE)
    with pytest.raises(ValueError, match=r"two stacked RGB frames .* \(1, 3, 32, 64\)"):
        network(torch.zeros(1, 3, 32, 64))
    with pytest.raises(ValueError, match="one block count per stage"):
        PoseConfig(widths=(8, 16), depths=(1,))
    with pytest.raises(WeightsError, match="1 are missing.*squeeze.0.bias.*1 are unknown.*extra"):
        PoseNetwork.from_reference({k: v for k, v in published.items() if k != "squeeze.0.bias"} | {"extra": Tensor()})
    with pytest.raises(WeightsError, match="have another shape"):
        PoseNetwork.from_reference(published, TINY_POSE)
