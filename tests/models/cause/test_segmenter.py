from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from mbps_dataset.errors import WeightsError
from mbps_dataset.models.cause.segmenter import CauseConfig, CauseSegmenter
from tests.models.cause.cause_weights import TINY, noise, published_files, published_shapes, tiny_network


@pytest.fixture(scope="module")
def network() -> CauseSegmenter:
    return tiny_network()


@pytest.fixture(scope="module")
def pixels() -> torch.Tensor:
    return noise(4, (2, 3, 70, 70))


def test_defaults_are_the_published_network() -> None:
    with torch.device("meta"):
        network = CauseSegmenter(CauseConfig(linear_classes=27))
    shapes = {name: list(tensor.shape) for name, tensor in network.checkpoint_state().items()}
    expected = {f"backbone.{name}": shape for name, shape in published_shapes("backbone").items()}
    expected |= {f"segment.{name}": shape for name, shape in published_shapes("segment").items()}
    expected |= {"segment.codebook": [2048, 768], "probe.cluster_probe": [27, 90]}
    assert shapes == expected
    assert network.config.tokens == 529


@torch.no_grad()
def test_the_parts_work_together(network: CauseSegmenter, pixels: torch.Tensor) -> None:
    codes = network.codes(pixels)
    assert codes.shape == (2, 25, 10)
    torch.testing.assert_close(codes, network.segment.encode(network.backbone.features(pixels)))
    torch.testing.assert_close(network(pixels, alpha=2.0), network.probe.log_probs(codes, 2.0))
    assert network.codebook is network.segment.codebook


def assert_same(one: CauseSegmenter, other: CauseSegmenter, pixels: torch.Tensor) -> None:
    """Both hold the same tensors, to the bit; results agree within rounding: tensors read from files lie differently."""
    tensors = other.state_dict()
    assert list(one.state_dict()) == list(tensors)
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in one.state_dict().items())
    torch.testing.assert_close(one(pixels), other(pixels))


@torch.no_grad()
def test_published_files_load(network: CauseSegmenter, pixels: torch.Tensor, tmp_path: Path) -> None:
    loaded = CauseSegmenter.from_reference(**published_files(tmp_path, network), heads=3)
    assert loaded.config == TINY and not loaded.training
    assert_same(loaded, network, pixels)


@torch.no_grad()
def test_contents_load_as_files_do(network: CauseSegmenter, pixels: torch.Tensor) -> None:
    loaded = CauseSegmenter.from_reference(
        backbone=network.backbone.reference_state(),
        segment=network.segment.reference_state(),
        cluster={"cluster_probe": network.probe.cluster_probe.detach()},
        codebook=network.codebook.double().numpy(),
        config=TINY,
    )
    assert_same(loaded, network, pixels)


@torch.no_grad()
def test_interpolation_is_kept_in_the_configuration(
    network: CauseSegmenter, pixels: torch.Tensor, tmp_path: Path
) -> None:
    files = published_files(tmp_path, network)
    other = CauseSegmenter.from_reference(**files, heads=3, interpolation="huggingface")
    assert not torch.allclose(other.codes(pixels), network.codes(pixels))
    other.save_pretrained(tmp_path / "saved")
    assert CauseSegmenter.from_pretrained(tmp_path / "saved").config.interpolation == "huggingface"


@torch.no_grad()
def test_saving_and_loading_keeps_every_bit(network: CauseSegmenter, pixels: torch.Tensor, tmp_path: Path) -> None:
    network.save_pretrained(tmp_path)
    loaded = CauseSegmenter.from_pretrained(tmp_path)
    assert loaded.config == network.config
    assert_same(loaded, network, pixels)
    stored = load_file(tmp_path / "model.safetensors")
    assert "backbone.blocks.0.attn.qkv.weight" in stored and "segment.codebook" in stored
    assert "Did labels reach it?" in (tmp_path / "README.md").read_text()


def test_a_wrong_configuration_is_told_what_fits(network: CauseSegmenter, tmp_path: Path) -> None:
    files = published_files(tmp_path, network)
    with pytest.raises(WeightsError) as caught:
        CauseSegmenter.from_reference(**files, config=replace(TINY, layers=3, position_grid=9))
    assert str(files["backbone"]) in str(caught.value)
    assert "layers=2 (not 3)" in str(caught.value) and "position_grid=7 (not 9)" in str(caught.value)
    with pytest.raises(WeightsError, match=r"segment.pth.*(?s:.)*code_dim=10 \(not 12\)"):
        CauseSegmenter.from_reference(**files, config=replace(TINY, code_dim=12))


def test_files_that_do_not_belong_together(network: CauseSegmenter, tmp_path: Path) -> None:
    files = published_files(tmp_path, network)
    with pytest.raises(
        WeightsError, match="the backbone gives 24 channels, the head takes 24 and the codebook has 23"
    ):
        CauseSegmenter.from_reference(**{**files, "codebook": network.codebook[:, :23]})
    with pytest.raises(WeightsError, match=r"cluster_probe is \[6, 9\].*6 clusters of 10 channels"):
        CauseSegmenter.from_reference(**{**files, "cluster": {"cluster_probe": torch.zeros(6, 9)}}, heads=3)
    with pytest.raises(WeightsError, match="float array"):
        CauseSegmenter.from_reference(**{**files, "codebook": np.zeros((3, 4), dtype=np.int64)})
    with pytest.raises(WeightsError, match="(?s)backbone.pth does not fit.*missing"):
        torch.save({"fc.weight": torch.zeros(2)}, files["backbone"])
        CauseSegmenter.from_reference(**files)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layers": 0}, "layers must be a whole number"),
        ({"clusters": 2.5}, "clusters must be a whole number"),
        ({"crop": 320}, r"crop \(320\) must be a multiple of patch_size \(14\)"),
        ({"hidden_size": 25}, r"hidden_size \(25\) must be a multiple of heads \(3\)"),
        ({"interpolation": "linear"}, "interpolation must be one of"),
        ({"dropout": 1.0}, "dropout must be"),
    ],
)
def test_bad_configurations(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(TINY, **change)
