"""Networks of patch features, from folders of either layout."""

from __future__ import annotations

import pytest
import torch
from transformers import ViTConfig, ViTModel

from mbps_dataset.errors import WeightsError
from mbps_dataset.models import networks
from mbps_dataset.models.feature_networks import load_feature_network


def test_any_transformers_vit_is_taken(tmp_path):
    config = ViTConfig(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=4, intermediate_size=64, image_size=32, patch_size=8
    )
    saved = ViTModel(config, add_pooling_layer=True)
    saved.save_pretrained(tmp_path)
    loaded = load_feature_network(tmp_path)
    assert not loaded.training and loaded.config.patch_size == 8
    assert torch.equal(loaded.embeddings.cls_token, saved.embeddings.cls_token)


def test_cause_weights_give_their_backbone():
    network = load_feature_network(networks.WEIGHTS_ROOT / "cause")
    assert network.config.model_type == "dinov2" and not network.training


def test_a_folder_without_a_network_is_named(tmp_path):
    with pytest.raises(WeightsError, match="cannot be loaded as a vision transformer"):
        load_feature_network(tmp_path)
