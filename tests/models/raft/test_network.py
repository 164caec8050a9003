from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from mbps_dataset.errors import WeightsError
from mbps_dataset.models.checkpoints import shapes_of
from mbps_dataset.models.flow import disparity_of_flow
from mbps_dataset.models.raft import CorrelationPyramid, RaftConfig, RaftFlow
from mbps_dataset.models.raft.network import SUPERVISION, cell_positions
from tests.models.raft.published_weights import TINY, drawn_weights, published_shapes
from tests.vectors import load_vectors


@pytest.fixture(scope="module")
def tiny():
    torch.manual_seed(0)
    return RaftFlow(TINY).eval()


@pytest.fixture(scope="module")
def images():
    return torch.rand(2, 2, 3, 40, 56, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def vectors():
    return load_vectors("cups/raft_smurf")


@pytest.fixture(scope="module")
def smurf(vectors):
    return RaftFlow.from_reference(drawn_weights(int(vectors["base_seed"])))


@pytest.fixture(scope="module")
def pair(vectors):
    return [torch.from_numpy(vectors[name]).float()[None] / 255 for name in ("image1", "image2")]


@torch.no_grad()
def test_flow_after_four_updates_is_that_of_the_vector(smurf, pair, vectors):
    flows = list(smurf.iterates(*pair, updates=4, every=True))
    for number, flow in enumerate(flows, start=1):
        np.testing.assert_allclose(flow[0, :, ::4, ::4], vectors[f"flow_iter{number}_sub4"], atol=1e-3)
    for eye, name in (("left", "l2r"), ("right", "r2l")):
        found = disparity_of_flow(flows[-1], eye)[0, ::4, ::4]
        np.testing.assert_allclose(found, vectors[f"disparity_{name}_sub4"], atol=1e-3)
        assert found.min() == 0 and found.max() > 1


def test_flow_after_sixteen_updates_is_that_of_the_vector(smurf, pair, vectors):
    assert smurf.config == RaftConfig(supervision=SUPERVISION["smurf"]) and smurf.config.updates == 16
    np.testing.assert_allclose(smurf.flow(*pair)[0, :, ::8, ::8], vectors["flow_16_updates_sub8"], atol=5e-3)


@torch.no_grad()
def test_correlations_at_zero_flow_are_those_of_the_vector(smurf, pair, vectors):
    maps = smurf.feature_encoder(2 * torch.cat(pair) - 1)
    positions = cell_positions(*maps.shape[-2:])[None]
    found = CorrelationPyramid(*maps.chunk(2)).look_up(positions)[0, :, ::4, ::4]
    np.testing.assert_allclose(found, vectors["correlation_at_zero_flow_sub"], atol=1e-4)


def test_the_default_sizes_are_the_published_ones():
    with torch.device("meta"):
        network, batch_norm = RaftFlow(RaftConfig()), RaftFlow(RaftConfig(context_norm="batch"))
    assert {f"raft.{name}": shape for name, shape in shapes_of(network).items()} == published_shapes()
    assert sum(p.numel() for p in network.parameters()) == 5_254_656
    assert sum(p.numel() for p in batch_norm.parameters()) == 5_257_536  # as torchvision states for raft_large


def test_torchvision_files_are_known_by_their_batch_norm(tiny, images):
    torch.manual_seed(3)
    network = RaftFlow(replace(TINY, context_norm="batch", lookup_order="column-major")).eval()
    state = {name: tensor for name, tensor in network.state_dict().items() if "num_batches" not in name}
    read = RaftFlow.from_reference(state, levels=2, updates=3)
    assert read.config == replace(network.config, supervision=SUPERVISION["torchvision"])
    assert not read.training and read.supervision.startswith("supervised")
    torch.testing.assert_close(read.flow(*images), network.flow(*images))


def test_the_two_orders_of_look_up_are_one_network_with_its_first_layer_permuted(tiny, images):
    other = RaftFlow(replace(TINY, lookup_order="column-major")).eval()
    state = {name: tensor.clone() for name, tensor in tiny.state_dict().items()}
    name = "update_block.motion_encoder.convcorr1.0.weight"
    state[name] = state[name].unflatten(1, (2, 5, 5)).transpose(2, 3).flatten(1, 3)
    other.load_state_dict(state)
    torch.testing.assert_close(other.flow(*images), tiny.flow(*images), atol=1e-4, rtol=1e-4)


def test_saving_and_loading_changes_nothing(tiny, images, tmp_path):
    tiny.save_pretrained(tmp_path)
    read = RaftFlow.from_pretrained(tmp_path)
    assert read.config == TINY and read.supervision == "none: random" and not read.training
    torch.testing.assert_close(read.flow(*images), tiny.flow(*images))


@pytest.mark.parametrize("height_width", [(1, 1), (33, 47), (40, 64)])
def test_flow_has_the_size_of_images_of_any_size(tiny, height_width):
    images = torch.rand(2, 1, 3, *height_width, generator=torch.Generator().manual_seed(2))
    assert tiny.flow(*images).shape == (1, 2, *height_width)
    left, right = (tiny.disparity(*images, first_eye=eye) for eye in ("left", "right"))
    assert left.shape == (1, *height_width) and left.min() >= 0 and (left * right == 0).all()


def test_padding_is_the_border_repeated(tiny):
    first, second = torch.rand(2, 1, 3, 34, 38, generator=torch.Generator().manual_seed(2))
    by_hand = [torch.nn.functional.pad(one, (1, 1, 3, 3), mode="replicate") for one in (first, second)]
    torch.testing.assert_close(tiny.flow(first, second), tiny.flow(*by_hand)[..., 3:-3, 1:-1])


def test_training_sees_every_update_with_gradients(images):
    network = RaftFlow(TINY)
    flows = network(*images)
    flows[-1].square().mean().backward()
    assert len(flows) == 3 and all(p.grad is not None for p in network.parameters())


def test_images_of_the_wrong_range_are_refused(tiny, images):
    with pytest.raises(ValueError, match=r"Expected images in \[0, 1\], but got values from"):
        tiny.flow(255 * images[0], images[1])


def prefixed(network):
    return {f"raft.{name}": tensor for name, tensor in network.state_dict().items()}


def test_a_file_that_is_neither_layout_is_refused_unless_one_is_stated(tiny):
    with pytest.raises(WeightsError, match=r"x.pth is neither .* state layout='smurf' or 'torchvision'"):
        RaftFlow.from_reference(tiny.state_dict(), levels=2, source="x.pth")
    read = RaftFlow.from_reference(tiny.state_dict(), layout="smurf", levels=2, supervision="ours")
    assert read.config.lookup_order == "row-major" and read.supervision == "ours"
    with pytest.raises(WeightsError, match=r"it has fnet.conv1.bias, fnet.conv1.weight, …"):
        RaftFlow.from_reference({"fnet.conv1.weight": torch.zeros(1), "fnet.conv1.bias": torch.zeros(1)})
    with pytest.raises(WeightsError, match="it has none"):
        RaftFlow.from_reference({})


def test_everything_that_does_not_fit_is_said_at_once(tiny):
    state = prefixed(tiny)
    del state["raft.context_encoder.conv.bias"]
    state["raft.mask_predictor.conv.bias"] = torch.zeros(4)
    state["raft.extra"] = torch.zeros(1)
    with pytest.raises(WeightsError) as caught:
        RaftFlow.from_reference(state, levels=2, source="raft_smurf.pt")
    message = str(caught.value)
    assert message.startswith("raft_smurf.pt does not fit RaftFlow of the smurf layout:")
    assert "missing (1): context_encoder.conv.bias" in message and "unexpected (1): extra" in message
    assert "mask_predictor.conv.bias is [4], expected [576]" in message


def test_sizes_that_make_no_network_are_refused(tiny):
    with pytest.raises(WeightsError, match="x looks 50 correlations up, which is no square window at 4 levels"):
        RaftFlow.from_reference(prefixed(tiny), source="x")
    state = prefixed(tiny)
    state["raft.context_encoder.conv.weight"] = torch.zeros(8, 8, 1, 1)
    with pytest.raises(WeightsError, match="x is no RAFT that can be built: context_dim must be between 1"):
        RaftFlow.from_reference(state, levels=2, source="x")
