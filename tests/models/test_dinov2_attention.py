"""Class attention of DINOv2: what transformers itself reports, without the tokens that are no patches."""

from __future__ import annotations

import pytest
import torch
from transformers import Dinov2Config, Dinov2Model, Dinov2WithRegistersConfig, Dinov2WithRegistersModel

from mbps_dataset.models import networks
from mbps_dataset.models.dinov2_attention import Dinov2ClsAttention


SIZES = {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2, "mlp_ratio": 2, "image_size": 70, "patch_size": 14,
         "initializer_range": 0.2}  # fmt: skip


@torch.no_grad()
@pytest.mark.parametrize(
    ("network", "first"),
    [
        (Dinov2Model(Dinov2Config(**SIZES)), 1),
        (Dinov2WithRegistersModel(Dinov2WithRegistersConfig(**SIZES, num_register_tokens=4)), 5),
    ],
)
def test_it_is_what_transformers_reports(network, first, tmp_path):
    network.save_pretrained(tmp_path)
    pixels = torch.rand(2, 3, 70, 70, generator=torch.Generator().manual_seed(0))
    loaded = networks.load("attention", str(tmp_path), "cpu")
    assert isinstance(loaded, Dinov2ClsAttention) and loaded.patch_size == 14
    network.eval().set_attn_implementation("eager")
    weights = network(pixels, output_attentions=True).attentions[-1][:, :, 0, first:]
    full = weights.mean(dim=1).reshape(2, 5, 5)
    torch.testing.assert_close(loaded.attention(pixels, "full"), full, atol=1e-5, rtol=1e-4)
    of_patches = (weights / weights.sum(dim=-1, keepdim=True)).mean(dim=1).reshape(2, 5, 5)
    torch.testing.assert_close(loaded.attention(pixels), of_patches, atol=1e-5, rtol=1e-4)
    assert float(full.std()) > 1e-4  # not the same everywhere, or any answer would do


def test_an_unknown_variant_is_refused():
    network = Dinov2ClsAttention.from_pretrained(networks.WEIGHTS_ROOT / "cause")
    with pytest.raises(ValueError, match="variant must be one of reference, true, full, but is 'else'"):
        network.attention(torch.zeros(1, 3, 70, 70), "else")
