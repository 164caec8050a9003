from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import Dinov2Config, Dinov2Model, ViTConfig, ViTModel

from mbps_dataset.stages.instances.patch_features import last_keys, last_tokens, network_input, patch_features


SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}


def dino() -> ViTModel:
    torch.manual_seed(0)
    return ViTModel(ViTConfig(**SMALL, image_size=32, patch_size=8), add_pooling_layer=False).eval()


def dinov2() -> Dinov2Model:
    torch.manual_seed(0)
    return Dinov2Model(Dinov2Config(**SMALL, image_size=28, patch_size=14)).eval()


@pytest.mark.parametrize("make, patch", [(dino, 8), (dinov2, 14)])
def test_keys_are_those_of_the_last_block(make: type, patch: int) -> None:
    network, pixels = make(), torch.randn(2, 3, 3 * patch, 4 * patch)
    keys = last_keys(network, pixels)
    assert keys.shape == (2, 3, 4, 32) and keys.dtype == np.float32
    enlarge = {"interpolate_pos_encoding": True} if patch == 8 else {}
    with torch.no_grad():
        states = network(pixels, output_hidden_states=True, **enlarge).hidden_states[-2]
        names = [name for name, _ in network.named_modules() if name.endswith(("layernorm_before", "norm1"))]
        modules = dict(network.named_modules())
        projection = modules[[n for n in modules if n.rsplit(".", 1)[-1] in ("k_proj", "key")][-1]]
        expected = projection(modules[names[-1]](states))[:, 1:]
    np.testing.assert_allclose(keys.reshape(2, 12, 32), expected.numpy(), atol=1e-5)


@pytest.mark.parametrize("make, patch", [(dino, 8), (dinov2, 14)])
def test_tokens_are_the_networks_output_without_the_class_token(make: type, patch: int) -> None:
    network, pixels = make(), torch.randn(1, 3, 2 * patch, 2 * patch)
    with torch.no_grad():
        expected = network(pixels, **({"interpolate_pos_encoding": True} if patch == 8 else {})).last_hidden_state
    np.testing.assert_allclose(last_tokens(network, pixels).reshape(1, 4, 32), expected[:, 1:].numpy(), atol=1e-6)


def test_no_hook_stays_behind() -> None:
    network = dino()
    last_keys(network, torch.randn(1, 3, 16, 16))
    assert all(not module._forward_hooks for module in network.modules())


def test_a_network_without_keys_is_named() -> None:
    with pytest.raises(ValueError, match="Linear has no layer named `key` or `k_proj`"):
        last_keys(torch.nn.Linear(2, 2), torch.zeros(1, 3, 8, 8))


def test_pictures_are_squeezed_unless_told_otherwise() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (50, 100, 3)).astype(np.uint8)
    assert network_input(picture, 8, size=44).shape == (1, 3, 40, 40)
    assert network_input(picture, 8, size=44, keep_aspect=True).shape == (1, 3, 40, 88)
    assert network_input(picture.transpose(1, 0, 2), 8, size=44, keep_aspect=True).shape == (1, 3, 88, 40)


def test_pictures_are_normalised_as_imagenet() -> None:
    white = network_input(np.full((16, 16, 3), 255, np.uint8), 8, size=16)
    expected = (1 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    np.testing.assert_allclose(white[0, :, 3, 5], expected, rtol=1e-6)


def test_each_network_gives_what_was_published_for_it() -> None:
    for network, patch, expected in ((dino(), 8, last_keys), (dinov2(), 14, last_tokens)):
        pixels = torch.randn(1, 3, 2 * patch, 2 * patch)
        np.testing.assert_allclose(patch_features(network, pixels), expected(network, pixels), atol=1e-5)
        np.testing.assert_allclose(patch_features(network, pixels, kind="keys"), last_keys(network, pixels), atol=1e-5)
    with pytest.raises(ValueError, match="Unknown kind of features 'queries'; choose published, keys, tokens"):
        patch_features(network, pixels, kind="queries")
