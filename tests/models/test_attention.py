from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from transformers import Dinov2Config, Dinov2Model, DINOv3ViTConfig, DINOv3ViTModel

from mbps_dataset.errors import WeightsError
from mbps_dataset.models.attention import VARIANTS, ClsAttention, layers_of
from tests.vectors import load_vectors


NAMES = {
    "reference": "attn_reference_prerope",
    "true": "attn_true_postrope_patchnorm",
    "full": "attn_true_postrope_fullsoftmax",
}


@pytest.fixture(scope="module")
def arrays():
    return load_vectors("dinov3_cls_attention")


@pytest.fixture(scope="module")
def network(arrays):
    backbone = DINOv3ViTModel(DINOv3ViTConfig(**json.loads(str(arrays["config_json"])))).eval()
    weights = {name[2:]: torch.from_numpy(value) for name, value in arrays.items() if name.startswith("w/")}
    if hasattr(backbone, "layer"):  # transformers 4
        weights = {name.removeprefix("model."): tensor for name, tensor in weights.items()}
    backbone.load_state_dict(weights)
    return ClsAttention(backbone)


@torch.no_grad()
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_is_that_of_the_reference_vectors(arrays, network, variant):
    attention = network.attention(torch.from_numpy(arrays["pixel_values"]), variant=variant)
    np.testing.assert_allclose(attention[0], arrays[NAMES[variant]], atol=1e-5)


@torch.no_grad()
def test_the_full_variant_is_what_transformers_itself_reports(arrays, network):
    pixels = torch.rand(2, 3, 32, 80, generator=torch.Generator().manual_seed(2))
    reported = DINOv3ViTModel(network.backbone.config).eval()
    reported.load_state_dict(network.backbone.state_dict())
    reported.set_attn_implementation("eager")
    weights = reported(pixels, output_attentions=True).attentions[-1]
    expected = weights[:, :, 0, 5:].mean(dim=1).reshape(2, 2, 5)
    np.testing.assert_allclose(network.attention(pixels, "full"), expected, atol=1e-6)


@torch.no_grad()
def test_attention_over_the_patches_sums_to_one_unless_full(arrays, network):
    pixels = torch.from_numpy(arrays["pixel_values"])
    sums = {variant: float(network(pixels, variant).sum()) for variant in VARIANTS}
    assert sums["reference"] == pytest.approx(1, abs=1e-5) == sums["true"]
    assert sums["full"] < 1


@torch.no_grad()
def test_saving_and_loading_changes_nothing(arrays, network, tmp_path):
    network.save_pretrained(tmp_path)
    read = ClsAttention.from_pretrained(tmp_path)
    pixels = torch.from_numpy(arrays["pixel_values"])
    written = network.backbone.state_dict()
    assert all(torch.equal(tensor, written[name]) for name, tensor in read.backbone.state_dict().items())
    torch.testing.assert_close(read.attention(pixels), network.attention(pixels))
    assert read.patch_size == 16 and not read.training
    assert len(layers_of(read.backbone)) == 2


def test_a_configuration_alone_gives_a_fresh_network(network):
    fresh = ClsAttention(network.backbone.config)
    assert fresh.attention(torch.zeros(1, 3, 32, 32)).shape == (1, 2, 2)


def test_an_unknown_variant_is_refused(network):
    with pytest.raises(ValueError, match="one of reference, true, full, but is 'rope'"):
        network.attention(torch.zeros(1, 3, 32, 32), variant="rope")


@pytest.mark.parametrize("shape", [(1, 3, 32, 40), (3, 32, 32), (1, 3, 0, 32)])
def test_sides_that_are_no_multiple_of_the_patch_are_refused(network, shape):
    with pytest.raises(ValueError, match="sides a multiple of 16"):
        network.attention(torch.zeros(shape))


def test_a_network_of_another_kind_is_refused(tmp_path):
    Dinov2Model(Dinov2Config(hidden_size=24, num_hidden_layers=1, num_attention_heads=2)).save_pretrained(tmp_path)
    with pytest.raises(WeightsError, match="but the config.json of .* describes a dinov2"):
        ClsAttention.from_pretrained(tmp_path)


def test_a_folder_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(WeightsError, match="cannot be loaded as a DINOv3 ViT"):
        ClsAttention.from_pretrained(tmp_path / "none")


def test_a_checkpoint_that_lacks_a_tensor_is_refused(network, tmp_path):
    weights = network.backbone.state_dict()
    del weights["norm.weight"]
    network.backbone.save_pretrained(tmp_path, state_dict=weights)
    with pytest.raises(WeightsError, match="1 tensors are missing or of another shape, norm.weight among them"):
        ClsAttention.from_pretrained(tmp_path)
