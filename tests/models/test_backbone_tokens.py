"""Tokens in the place of codes: of a DINOv2 of transformers, with or without registers, or of CAUSE weights."""

from __future__ import annotations

import pytest
import torch
from transformers import (
    Dinov2Config,
    Dinov2Model,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
    ViTConfig,
    ViTModel,
)

from mbps_dataset.errors import WeightsError
from mbps_dataset.models.backbone_tokens import BackboneTokens
from mbps_dataset.models.networks import WEIGHTS_ROOT


SIZES = {
    "hidden_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "mlp_ratio": 2,
    "image_size": 70,
    "patch_size": 14,
}


@torch.no_grad()
@pytest.mark.parametrize(
    ("network", "first"),
    [
        (Dinov2Model(Dinov2Config(**SIZES)), 1),
        (Dinov2WithRegistersModel(Dinov2WithRegistersConfig(**SIZES, num_register_tokens=4)), 5),
    ],
)
def test_tokens_of_transformers_networks_are_their_last_hidden_state(network, first, tmp_path):
    network.save_pretrained(tmp_path)
    pixels = torch.rand(2, 3, 70, 70, generator=torch.Generator().manual_seed(0))
    tokens = BackboneTokens.from_pretrained(tmp_path).codes(pixels)
    torch.testing.assert_close(tokens, network.eval()(pixels).last_hidden_state[:, first:], atol=1e-5, rtol=1e-5)


def test_cause_weights_give_the_tokens_of_their_backbone():
    network = BackboneTokens.from_pretrained(WEIGHTS_ROOT / "cause")
    assert not network.training and network.codes(torch.zeros(1, 3, 70, 70)).shape[:2] == (1, 25)


def test_another_transformer_is_refused(tmp_path):
    config = ViTConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=4, intermediate_size=64, image_size=32)
    ViTModel(config).save_pretrained(tmp_path)
    with pytest.raises(WeightsError, match="is a ViTModel, not a DINOv2 network"):
        BackboneTokens.from_pretrained(tmp_path)
