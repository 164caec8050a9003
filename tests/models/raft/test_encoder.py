from __future__ import annotations

import pytest
import torch

from mbps_dataset.models.raft import Encoder
from tests.models.raft.published_weights import drawn_weights
from tests.vectors import load_vectors


def part(state, name):
    prefix = f"raft.{name}."
    return {key.removeprefix(prefix): tensor for key, tensor in state.items() if key.startswith(prefix)}


@torch.no_grad()
@pytest.mark.parametrize(("name", "golden"), [("feature_encoder", "features1"), ("context_encoder", "context")])
def test_maps_of_an_image_are_those_of_the_vector(name, golden):
    vectors = load_vectors("cups/raft_smurf")
    encoder = Encoder((64, 64, 96, 128), 256, norm="instance").eval()
    encoder.load_state_dict(part(drawn_weights(int(vectors["base_seed"])), name))
    image = torch.from_numpy(vectors["image1"]).float()[None] / 255
    found = encoder(2 * image - 1)[0, ::16]
    torch.testing.assert_close(found, torch.from_numpy(vectors[f"{golden}_sub"]), atol=1e-4, rtol=0)


def test_instance_norm_has_no_tensors_and_batch_norm_has():
    assert not [name for name in Encoder((4, 4, 6, 8), 5, norm="instance").state_dict() if "running" in name]
    assert "layer2.0.downsample.1.running_mean" in Encoder((4, 4, 6, 8), 5, norm="batch").state_dict()
