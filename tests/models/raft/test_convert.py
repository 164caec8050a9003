from __future__ import annotations

import hashlib
import json

import pytest
import torch

from mbps_dataset.errors import WeightsError
from mbps_dataset.models.raft import RaftFlow
from mbps_dataset.models.raft.convert import convert_raft
from tests.models.raft.published_weights import TINY


@pytest.fixture
def published(tmp_path):
    """A small file with names as SMURF publishes them."""
    torch.manual_seed(0)
    state = {f"raft.{name}": tensor for name, tensor in RaftFlow(TINY).state_dict().items()}
    torch.save(state, tmp_path / "raft_smurf.pt")
    return tmp_path / "raft_smurf.pt"


def test_the_written_folder_holds_the_published_tensors_and_says_so(published, tmp_path):
    done = convert_raft(checkpoint=published, output=tmp_path / "out", levels=2)
    read, state = RaftFlow.from_pretrained(tmp_path / "out"), torch.load(published, weights_only=True)
    assert all(torch.equal(tensor, state[f"raft.{name}"]) for name, tensor in read.state_dict().items())
    assert read.config == done.network.config and read.supervision.startswith("self-supervised")
    record = json.loads((tmp_path / "out/conversion.json").read_text())
    digest = hashlib.sha256(published.read_bytes()).hexdigest()
    assert record["made_from"] == {"checkpoint": {"file": "raft_smurf.pt", "sha256": digest}}
    assert record["tensors_sha256"] == done.digest and record["supervision"] == read.supervision


def test_a_file_that_does_not_fit_writes_nothing(published, tmp_path):
    with pytest.raises(WeightsError, match="raft_smurf.pt looks 50 correlations up"):
        convert_raft(checkpoint=published, output=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_file_of_another_network_is_told_what_it_is(tmp_path):
    torch.save({"state_dict": {"model.x": torch.zeros(1)}, "made_by": hashlib.sha256}, tmp_path / "raft.pt")
    with pytest.raises(WeightsError, match=r"raft.pt is neither as SMURF publishes its weights .*; it has model.x"):
        convert_raft(checkpoint=tmp_path / "raft.pt", output=tmp_path / "out")
