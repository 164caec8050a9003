from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from mbps_dataset.models.cascade.config import CascadeConfig
from mbps_dataset.models.cascade.feature_pyramid import FeaturePyramid
from tests.models.cascade.drawn_weights import (
    assert_gradient_norms,
    cascade_vectors,
    noise,
    tensor,
    with_drawn_weights,
)
from tests.models.cascade.tiny_network import TINY


EVERY = {"res2": 32, "res3": 64, "res4": 64, "res5": 64, "p2": 16, "p3": 8}
LEVELS = ("p2", "p3", "p4", "p5", "p6")


@pytest.fixture(scope="module")
def vectors():
    return cascade_vectors("backbone_fpn")


@pytest.fixture(scope="module")
def backbone(vectors):
    return with_drawn_weights(FeaturePyramid(CascadeConfig()), "backbone.")


@pytest.mark.parametrize("kind", ["as published", "frozen", "with gradients"])
def test_maps_are_those_of_the_vector(kind, vectors, backbone):
    arrays, meta = vectors
    network, images = backbone, noise(*meta["inputs"]["x"])
    if kind == "frozen":
        network = FeaturePyramid(CascadeConfig(norm="frozen"))
        network.load_state_dict(backbone.state_dict())
        network.train()
    with torch.set_grad_enabled(kind == "with gradients"):
        found = dict(zip(("res2", "res3", "res4", "res5"), network.bottom_up(images)))
        found |= dict(zip(LEVELS, network(images)))
    for name, maps in found.items():
        maps = maps.detach()[0]
        np.testing.assert_allclose(maps.mean((1, 2)), arrays[f"{name}_mean"], atol=1e-4)
        np.testing.assert_allclose(maps.std((1, 2), correction=0), arrays[f"{name}_std"], atol=1e-4)
        held = arrays[f"{name}_sub"] if name in EVERY else arrays[name]
        np.testing.assert_allclose(maps[:: EVERY.get(name, 1)], held, atol=1e-4)


def test_gradients_are_those_of_the_vector(vectors, backbone):
    arrays, meta = vectors
    backbone.zero_grad()
    maps = backbone(noise(*meta["inputs"]["x"]))
    pulled = [(one * noise(meta["cotangent"][name][0], tuple(one.shape))).sum() for name, one in zip(LEVELS, maps)]
    torch.stack(pulled).sum().backward()
    assert_gradient_norms(backbone, "backbone.", arrays["grad_norm_keys"], arrays["grad_norms"], rtol=1e-3)


@torch.no_grad()
def test_statistics_of_the_batch_are_those_of_the_vector(vectors, backbone):
    arrays, meta = vectors
    network = copy.deepcopy(backbone).train()
    maps = network(noise(*meta["inputs"]["x_train"]))
    np.testing.assert_allclose(maps[3], arrays["train_p5"], atol=3e-3)
    np.testing.assert_allclose(maps[0].mean((0, 2, 3)), arrays["train_p2_mean"], atol=3e-3)
    np.testing.assert_allclose(maps[0].std((0, 2, 3), correction=0), arrays["train_p2_std"], atol=3e-3)
    state = network.state_dict()
    listed = [key for key in arrays if key.startswith("train_running_")]
    assert len(listed) == 6
    for key in listed:
        kind, _, part = key.removeprefix("train_").partition("/")
        np.testing.assert_allclose(state[f"{part}.{kind}"], tensor(arrays[key]), atol=3e-3)


def test_levels_have_one_width_and_the_last_is_every_second_cell():
    torch.manual_seed(0)
    levels = FeaturePyramid(TINY).eval()(torch.randn(1, 3, 64, 96))
    assert [tuple(level.shape[1:]) for level in levels] == [
        (16, 16, 24), (16, 8, 12), (16, 4, 6), (16, 2, 3), (16, 1, 2)
    ]  # fmt: skip
    assert torch.equal(levels[4], levels[3][:, :, ::2, ::2])
