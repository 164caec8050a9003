from __future__ import annotations

import pytest
import torch
from transformers import ViTConfig, ViTModel

from mbps_dataset.errors import WeightsError
from mbps_dataset.models.dino import DinoBackbone, dino_of_transformers
from mbps_dataset.models.dinov2 import resized_positions


SIZES = {"hidden_size": 32, "layers": 2, "heads": 2, "position_grid": 4}


@pytest.fixture(scope="module")
def backbone():
    torch.manual_seed(0)
    return DinoBackbone(**SIZES).eval()


@torch.no_grad()
def test_at_the_native_size_tokens_are_those_of_transformers(backbone):
    """The network itself is theirs; only the position table is resized in another way."""
    config = ViTConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=128, patch_size=8, image_size=32,
        layer_norm_eps=1e-6,
    )  # fmt: skip
    theirs = ViTModel(config, add_pooling_layer=False).eval()
    theirs.load_state_dict(backbone.model.state_dict())
    pixels = torch.randn(1, 3, 32, 32)
    torch.testing.assert_close(backbone.tokens(pixels), theirs(pixels).last_hidden_state)
    other = theirs(pixels.repeat(1, 1, 1, 2), interpolate_pos_encoding=True).last_hidden_state
    assert not torch.allclose(backbone.tokens(pixels.repeat(1, 1, 1, 2)), other, atol=1e-4)


@torch.no_grad()
def test_at_other_sizes_the_table_is_resized_by_dinos_factor(backbone):
    pixels = torch.randn(1, 3, 40, 67)  # three columns are left over
    assert backbone.grid_hw(pixels) == (5, 8)
    embeddings = backbone.model.embeddings
    table = resized_positions(embeddings.position_embeddings, (5, 8))
    patches = embeddings.patch_embeddings(pixels)
    found = embeddings(pixels, interpolate_pos_encoding=True)
    torch.testing.assert_close(found[:, 1:], patches + table[:, 1:])
    assert backbone.tokens(pixels).shape == (1, 41, 32)
    assert torch.equal(backbone.tokens(pixels), backbone.tokens(pixels[..., :64]))


def test_names_are_dinos_and_go_round(backbone, tmp_path):
    state = backbone.reference_state()
    assert state["blocks.1.attn.qkv.weight"].shape == (96, 32) and "norm.weight" in state and "pos_embed" in state
    assert len(state) == 6 + 2 * 12
    other = DinoBackbone(**SIZES)
    other.load_reference_state(state)
    assert all(torch.equal(tensor, state[name]) for name, tensor in other.reference_state().items())
    backbone.model.save_pretrained(tmp_path)
    assert all(torch.equal(tensor, state[name]) for name, tensor in dino_of_transformers(tmp_path).items())


def test_names_of_earlier_transformers_are_known(backbone):
    from mbps_dataset.models.dino import _reference_state

    rename = {
        "attention.q_proj": "attention.attention.query", "attention.k_proj": "attention.attention.key",
        "attention.v_proj": "attention.attention.value", "attention.o_proj": "attention.output.dense",
        "mlp.fc1": "intermediate.dense", "mlp.fc2": "output.dense",
    }  # fmt: skip
    earlier = {}
    for name, tensor in backbone.model.state_dict().items():
        for new, old in rename.items():
            name = name.replace(new, old)
        earlier[name.replace("layers.", "encoder.layer.")] = tensor
    state = backbone.reference_state()
    assert all(torch.equal(tensor, state[name]) for name, tensor in _reference_state(earlier).items())


def test_what_does_not_fit_is_told(backbone, tmp_path):
    state = backbone.reference_state()
    del state["norm.bias"]
    with pytest.raises(WeightsError, match=r"missing \(1\): norm.bias\n.*hidden_size=32, layers=2"):
        backbone.load_reference_state(state)
    with pytest.raises(ValueError, match=r"at least 8, but got \(1, 3, 7, 64\)"):
        backbone.tokens(torch.zeros(1, 3, 7, 64))
    (tmp_path / "config.json").write_text('{"model_type": "vit"}')
    with pytest.raises(WeightsError, match="cannot be loaded as a DINO ViT of transformers"):
        dino_of_transformers(tmp_path)
