"""What a conversion leaves beside the weights: what they were made from, and what else is known of them."""

from __future__ import annotations

import hashlib
import json

import torch

from mbps_dataset.models.checkpoints import state_dict_digest
from mbps_dataset.models.conversion import write_conversion
from mbps_dataset.models.raft import RaftFlow
from tests.models.raft.published_weights import TINY


def test_the_record_names_every_file_and_the_tensors(tmp_path):
    torch.manual_seed(0)
    network = RaftFlow(TINY)
    files = {"one": tmp_path / "one.pth", "two": tmp_path / "two.npy"}
    for name, path in files.items():
        path.write_bytes(name.encode())
    done = write_conversion(network, tmp_path / "out", files, {"seen": "nothing"})
    digests = {name: hashlib.sha256(name.encode()).hexdigest() for name in files}
    assert done.made_from == {name: {"file": files[name].name, "sha256": digests[name]} for name in files}
    assert json.loads((tmp_path / "out/conversion.json").read_text()) == {
        "made_from": done.made_from, "tensors_sha256": done.digest, "seen": "nothing"
    }  # fmt: skip
    read = RaftFlow.from_pretrained(done.folder)
    assert state_dict_digest(read.checkpoint_state()) == done.digest and done.network is network
