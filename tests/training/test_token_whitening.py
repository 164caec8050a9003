"""Whitening in closed form: the codes are the equation's, through CAUSE's own head, and no label can come in."""

from __future__ import annotations

import inspect
from dataclasses import replace

import torch

from mbps_dataset.models.cause.segmenter import CauseConfig, CauseSegmenter
from mbps_dataset.stages.token_whitening import fit_token_whitening
from mbps_dataset.training import token_whitening
from mbps_dataset.training.token_whitening import WhiteningSettings, set_whitening, whiten_cause
from tests.training.pictures import street_like_pictures


TINY_NETWORK = CauseConfig(
    hidden_size=16, layers=1, heads=2, mlp_ratio=2, patch_size=4, position_grid=8, crop=32, code_dim=6,
    projection_dim=6, codebook_size=5, feed_forward_dim=6, clusters=4,
)  # fmt: skip
FEW = WhiteningSettings(windows=12, windows_per_step=4)


def test_the_head_gives_the_whitened_tokens_whatever_its_codebook():
    torch.manual_seed(0)
    segmenter = CauseSegmenter(TINY_NETWORK).eval()
    features = torch.randn(3, 64, 16) * torch.linspace(0.1, 4, 16) + 2
    whitening = fit_token_whitening([features], 6)
    set_whitening(segmenter.segment.head_ema, whitening)
    with torch.no_grad():
        codes = segmenter.segment.encode(features)
        segmenter.segment.codebook.normal_()
        torch.testing.assert_close(segmenter.segment.encode(features), codes)
    torch.testing.assert_close(codes, whitening(features).float(), atol=4e-6, rtol=1e-5)


def test_a_network_is_whitened_whole_and_one_seed_gives_one_result():
    torch.manual_seed(0)
    networks = [CauseSegmenter(TINY_NETWORK) for _ in range(3)]
    for network in networks[1:]:
        network.load_state_dict(networks[0].state_dict())
    before = {name: tensor.clone() for name, tensor in networks[0].backbone.state_dict().items()}
    for network, settings in zip(networks, (FEW, FEW, replace(FEW, seed=1))):
        whiten_cause(network, street_like_pictures(), settings, show_progress=False)
    one, same, other = (network.state_dict() for network in networks)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["segment.head_ema.tr.f1.weight"], other["segment.head_ema.tr.f1.weight"])
    assert all(torch.equal(before[name], tensor) for name, tensor in networks[0].backbone.state_dict().items())
    for name, tensor in networks[0].segment.head.state_dict().items():
        assert torch.equal(tensor, networks[0].segment.head_ema.state_dict()[name]) or "tr.f1" not in name
    lengths = networks[0].probe.cluster_probe.norm(dim=1)
    torch.testing.assert_close(lengths, torch.ones(4))


def test_nothing_but_pictures_can_be_handed_in():
    assert list(inspect.signature(whiten_cause).parameters) == ["segmenter", "pictures", "settings", "show_progress"]
    assert "truth" not in inspect.getsource(token_whitening)
