"""A CAUSE network around a DINOv2 of transformers."""

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

from mbps_dataset.errors import RecipeError, WeightsError
from mbps_dataset.models.cause.on_backbone import cause_on_backbone
from mbps_dataset.models.cause.segmenter import CauseSegmenter


SIZES = {
    "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "mlp_ratio": 2, "patch_size": 4, "image_size": 32,
}  # fmt: skip


def saved(folder, registers: int = 0):
    torch.manual_seed(0)
    if registers:
        network = Dinov2WithRegistersModel(Dinov2WithRegistersConfig(**SIZES, num_register_tokens=registers))
    else:
        network = Dinov2Model(Dinov2Config(**SIZES))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(std=0.2)
    network.eval().save_pretrained(folder)
    return network


@pytest.mark.parametrize("registers", [0, 4])
@torch.no_grad()
def test_its_tokens_are_those_of_the_network_and_it_is_saved_whole(tmp_path, registers):
    theirs = saved(tmp_path / "dino", registers)
    ours = cause_on_backbone(tmp_path / "dino", crop=32, code_dim=8, clusters=5)
    assert ours.config.registers == registers and ours.config.heads == 2 and ours.config.clusters == 5
    pixels = torch.randn(2, 3, 32, 32)
    tokens = theirs(pixels).last_hidden_state[:, 1 + registers :]
    torch.testing.assert_close(ours.backbone.features(pixels), tokens, atol=1e-6, rtol=1e-6)
    ours.save_pretrained(tmp_path / "cause")
    again = CauseSegmenter.from_pretrained(tmp_path / "cause")
    assert torch.equal(again.codes(pixels), ours.codes(pixels))


def test_what_cannot_be_is_said(tmp_path):
    saved(tmp_path / "dino")
    with pytest.raises(RecipeError, match="code_dim is 64, but the backbone has 16 channels; take fewer"):
        cause_on_backbone(tmp_path / "dino", crop=32)
    with pytest.raises(RecipeError, match="crop .30. must be a multiple of patch_size .4."):
        cause_on_backbone(tmp_path / "dino", crop=30, code_dim=8)
    ViTModel(
        ViTConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    ).save_pretrained(tmp_path / "vit")
    with pytest.raises(WeightsError, match="is a ViTModel, not a DINOv2 network"):
        cause_on_backbone(tmp_path / "vit")


def test_a_swiglu_backbone_is_named(tmp_path):
    Dinov2Model(Dinov2Config(**SIZES, use_swiglu_ffn=True)).save_pretrained(tmp_path)
    with pytest.raises(WeightsError, match="has a SwiGLU MLP .DINOv2 giant., which is not supported"):
        cause_on_backbone(tmp_path)
