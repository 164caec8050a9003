"""A DepthG network around a DINO of transformers."""

from __future__ import annotations

import pytest
import torch

from mbps_dataset.errors import RecipeError, WeightsError
from mbps_dataset.models.depthg.on_backbone import depthg_on_backbone
from tests.models.depthg.depthg_weights import tiny_network


@torch.no_grad()
def test_the_backbone_stays_as_it_is(tmp_path):
    given = tiny_network()
    given.backbone.model.save_pretrained(tmp_path)
    network = depthg_on_backbone(tmp_path, code_dim=12, clusters=5)
    pixels = torch.randn(1, 3, 32, 40)
    assert torch.equal(network.backbone.tokens(pixels), given.backbone.tokens(pixels))
    assert network(pixels).shape == (1, 5, 4, 5) and network.code_map(pixels).shape == (1, 12, 4, 5)
    assert network.supervision == "unknown" and not network.training


def test_what_cannot_be_is_said(tmp_path):
    with pytest.raises(WeightsError, match="cannot be loaded as a DINO ViT of transformers"):
        depthg_on_backbone(tmp_path)
    tiny_network().backbone.model.save_pretrained(tmp_path)
    with pytest.raises(RecipeError, match="code_dim must be between 1 and 65536, but is 0"):
        depthg_on_backbone(tmp_path, code_dim=0)
