from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mbps_dataset.errors import WeightsError
from mbps_dataset.models.spidepth import DepthEncoder, QueryDecoder, SPIdepth, SPIdepthConfig
from tests.models.published import tensors
from tests.vectors import load_vectors

from .reference_weights import TINY, drawn_weights, meta_weights


@pytest.fixture(scope="module")
def tiny():
    torch.manual_seed(0)
    return SPIdepth(TINY).eval()


@pytest.fixture(scope="module")
def image():
    return torch.rand(2, 3, 64, 128, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_depth_comes_at_half_resolution_within_the_range(tiny, image):
    depth = tiny(image)
    assert depth.shape == (2, 1, 32, 64)
    assert TINY.min_depth < depth.min() and depth.max() < TINY.max_depth


@torch.no_grad()
def test_saving_and_loading_changes_nothing(tiny, image, tmp_path):
    tiny.save_pretrained(tmp_path)
    read = SPIdepth.from_pretrained(tmp_path)
    assert read.config == TINY and read.supervision == TINY.supervision
    assert not read.training
    assert_same(read, tiny)
    torch.testing.assert_close(read(image), tiny(image))  # not to the bit: mapped tensors lie differently in memory


def assert_same(one, other):
    """Both networks hold the same tensors, to the bit."""
    tensors = other.state_dict()
    assert list(one.state_dict()) == list(tensors)
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in one.state_dict().items())


@torch.no_grad()
def test_a_network_can_be_saved_over_the_files_it_was_read_from(tiny, image, tmp_path):
    tiny.save_pretrained(tmp_path)
    read = SPIdepth.from_pretrained(tmp_path)
    before = read(image)
    read.save_pretrained(tmp_path)
    torch.testing.assert_close(read(image), before)
    assert_same(SPIdepth.from_pretrained(tmp_path), tiny)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["README.md", "config.json", "model.safetensors"]


def test_a_loaded_network_can_be_trained_without_touching_its_file(tiny, image, tmp_path):
    tiny.save_pretrained(tmp_path)
    before = (tmp_path / "model.safetensors").read_bytes()
    read = SPIdepth.from_pretrained(tmp_path).train()
    read(image).mean().backward()
    torch.optim.SGD(read.parameters(), lr=1.0).step()
    assert (tmp_path / "model.safetensors").read_bytes() == before


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="counts memory the Linux way")
def test_loading_maps_the_file_instead_of_copying_it(tmp_path):
    config = replace(TINY, positions=800_000, embedding_dim=16)  # a position table of 51 MB
    SPIdepth(config).save_pretrained(tmp_path)
    size = (tmp_path / "model.safetensors").stat().st_size
    before = private_memory()
    network = SPIdepth.from_pretrained(tmp_path)
    assert private_memory() - before < size / 2
    assert len(network.decoder.positional_encodings) == 800_000


def private_memory():
    """Bytes of this process that belong to no file."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) * 1024


def reference_files(folder):
    """A published-looking pair of files: atto encoder of 32 feature channels and a decoder to match."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        decoder = QueryDecoder(in_channels=32, embedding_dim=16, patch_size=8, queries=6, bins=9, positions=40)
    encoder = drawn_weights("atto_encoder", seed=606)
    torch.save({**encoder, "height": 320, "width": 1024, "use_stereo": False}, folder / "encoder.pth")
    torch.save(decoder.state_dict(), folder / "depth.pth")
    return encoder, decoder.eval()


@torch.no_grad()
def test_a_published_pair_of_files_becomes_one_network(image, tmp_path):
    encoder, decoder = reference_files(tmp_path)
    network = SPIdepth.from_reference(
        encoder=tmp_path / "encoder.pth", decoder=tmp_path / "depth.pth", size="atto", max_depth=80.0
    )
    expected = decoder(DepthEncoder.from_reference(encoder, "atto")(image))
    torch.testing.assert_close(network(image), expected)
    assert network.config == SPIdepthConfig(
        encoder_channels=(40, 80, 160, 320),
        encoder_depths=(2, 2, 6, 2),
        decoder_channels=network.config.decoder_channels,
        embedding_dim=16,
        patch_size=8,
        queries=6,
        bins=9,
        positions=40,
        supervision=network.config.supervision,
    )
    network.save_pretrained(tmp_path / "saved")
    assert_same(SPIdepth.from_pretrained(tmp_path / "saved"), network)


def test_the_published_network_has_the_default_configuration():
    encoder = DepthEncoder.from_reference(meta_weights("spidepth_encoder"))
    decoder = QueryDecoder.from_reference(meta_weights("spidepth_decoder"))
    with torch.device("meta"):
        built = SPIdepth(SPIdepthConfig())
    halves = {**{f"encoder.{k}": v for k, v in encoder.state_dict().items()}}
    halves |= {f"decoder.{k}": v for k, v in decoder.state_dict().items()}
    assert {k: v.shape for k, v in built.state_dict().items()} == {k: v.shape for k, v in halves.items()}


def test_swapped_files_are_refused_with_the_name_of_the_file(tmp_path):
    reference_files(tmp_path)
    with pytest.raises(WeightsError, match="depth.pth has no tensor `decoder.blocks.0.conv1.conv.weight`"):
        SPIdepth.from_reference(encoder=tmp_path / "depth.pth", decoder=tmp_path / "encoder.pth", size="atto")


def test_a_decoder_for_other_features_is_refused(tmp_path):
    reference_files(tmp_path)
    torch.save(tensors(load_vectors("spidepth_decoder_small")), tmp_path / "depth.pth")
    with pytest.raises(WeightsError, match="encoder.pth gives 32 feature channels, but .*depth.pth takes 16"):
        SPIdepth.from_reference(encoder=tmp_path / "encoder.pth", decoder=tmp_path / "depth.pth", size="atto")


def test_weights_that_do_not_belong_to_the_configuration_are_refused(tiny, tmp_path):
    tiny.save_pretrained(tmp_path)
    values = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(values | {"bins": 13}))
    with pytest.raises(WeightsError, match=r"model.safetensors does not fit SPIdepth as its config.json describes"):
        SPIdepth.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("file", "message"), [("config.json", "no config.json"), ("model.safetensors", "model.safetensors")]
)
def test_a_folder_that_lacks_a_file_is_refused(tiny, tmp_path, file, message):
    tiny.save_pretrained(tmp_path)
    (tmp_path / file).unlink()
    with pytest.raises(WeightsError, match=message):
        SPIdepth.from_pretrained(tmp_path)
