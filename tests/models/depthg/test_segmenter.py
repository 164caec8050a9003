from __future__ import annotations

import json
import re

import pytest
import torch

from mbps_dataset.errors import RecipeError, WeightsError
from mbps_dataset.models.depthg import DepthGConfig, DepthGSegmenter
from mbps_dataset.models.depthg.segmenter import SUPERVISION
from tests.models.depthg.depthg_weights import TINY, published_checkpoint, published_tensors, tiny_network


@pytest.fixture(scope="module")
def network():
    return tiny_network()


@pytest.fixture
def checkpoint(network, tmp_path):
    return published_checkpoint(tmp_path / "depthg.ckpt", published_tensors(network))


@torch.no_grad()
def test_codes_are_those_of_the_head_on_patch_tokens_without_the_class_token(network):
    pixels = torch.randn(2, 3, 48, 64)
    tokens = network.backbone.tokens(pixels)
    assert tokens.shape == (2, 1 + 6 * 8, 64)
    features = tokens[:, 1:].transpose(1, 2).reshape(2, 64, 6, 8)
    torch.testing.assert_close(network.code_map(pixels), network.head(features))
    scores = network(pixels)
    assert scores.shape == (2, 27, 6, 8)
    torch.testing.assert_close(scores.exp().sum(1), torch.ones(2, 6, 8))
    torch.testing.assert_close(scores, network.probe.log_probs(network.head(features), 2.0))


@torch.no_grad()
def test_a_checkpoint_goes_round_with_sizes_read_from_its_tensors(network, checkpoint, tmp_path):
    read = DepthGSegmenter.from_reference(checkpoint)
    assert read.supervision == SUPERVISION and not read.training
    assert {**vars(read.config), "supervision": "drawn"} == vars(TINY)
    state = network.checkpoint_state()
    assert all(torch.equal(tensor, state[name]) for name, tensor in read.checkpoint_state().items())
    read.save_pretrained(tmp_path / "kept")
    again, pixels = DepthGSegmenter.from_pretrained(tmp_path / "kept"), torch.randn(1, 3, 40, 56)
    assert torch.equal(again(pixels), network(pixels)) and again.config == read.config
    assert "DINO" in (tmp_path / "kept/README.md").read_text()
    assert json.loads((tmp_path / "kept/config.json").read_text())["code_dim"] == 10


def test_a_head_alone_takes_the_backbone_from_a_file_of_dino_or_from_transformers(network, tmp_path):
    tensors = {n: t for n, t in published_tensors(network).items() if not n.startswith("net.model.")}
    head = published_checkpoint(tmp_path / "head.ckpt", tensors)
    with pytest.raises(
        WeightsError, match="head.ckpt holds the head alone; give its backbone too: .* facebook/dino-v"
    ):
        DepthGSegmenter.from_reference(head)
    torch.save(network.backbone.reference_state(), tmp_path / "dino.pth")
    network.backbone.model.save_pretrained(tmp_path / "vit")
    for backbone in (tmp_path / "dino.pth", tmp_path / "vit", network.backbone.reference_state()):
        read = DepthGSegmenter.from_reference(head, backbone=backbone).checkpoint_state()
        assert all(torch.equal(tensor, read[name]) for name, tensor in network.checkpoint_state().items())


def without(name: str, tensors: dict) -> dict:
    return {each: tensor for each, tensor in tensors.items() if each != name}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda state: {"raft.x": torch.zeros(2), "raft.y": torch.zeros(2)},
            "given is no checkpoint of DepthG: it holds raft.x, raft.y, …; what fits is a Lightning checkpoint of DepthG or",
        ),
        (
            lambda state: without("net.cluster2.2.bias", state),
            "given does not fit DepthGSegmenter:\n  missing (1): net.cluster2.2.bias\nA configuration that would fit: what fits",
        ),
        (
            lambda state: state | {"net.cluster2.0.weight": torch.zeros(64, 32, 1, 1)},
            "net.cluster2.0.weight is [64, 32, 1, 1], expected [64, 64, 1, 1]",
        ),
        (
            lambda state: state | {"net.cluster1.0.weight": torch.zeros(10, 32, 1, 1)},
            "its head takes 32 channels, but the backbone gives 64; give the DINO of this size",
        ),
        (
            lambda state: state | {"cluster_probe.clusters": torch.full((27, 10), float("nan"))},
            "of the tensor cluster_probe.clusters are NaN",
        ),
    ],
)
def test_what_does_not_fit_is_named_with_what_would(network, change, message):
    with pytest.raises(WeightsError, match=re.escape(message)):
        DepthGSegmenter.from_reference(change(published_tensors(network)))


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"layers": 1000}, "layers must be between 1 and 256, but is 1000"),
        ({"clusters": 0}, "clusters must be between 1 and 65536, but is 0"),
        ({"heads": 5}, r"hidden_size \(768\) must be a multiple of heads \(5\)"),
        ({"code_dim": "x"}, "code_dim must be of type int, but is 'x'"),
    ],
)
def test_sizes_that_cannot_be_are_refused(sizes, message):
    with pytest.raises(RecipeError, match=message):
        DepthGConfig(**sizes)
