from __future__ import annotations

import json

import pytest
import torch

from mbps_dataset.errors import WeightsError
from mbps_dataset.models.depthg import DepthGSegmenter
from mbps_dataset.models.depthg.convert import convert_depthg
from tests.models.depthg.depthg_weights import published_checkpoint, published_tensors, tiny_network


def test_the_written_folder_holds_the_published_tensors_and_says_so(tmp_path):
    network = tiny_network()
    path = published_checkpoint(tmp_path / "depthg.ckpt", published_tensors(network))
    network.backbone.model.save_pretrained(tmp_path / "vit")
    torch.save(network.backbone.reference_state(), tmp_path / "dino.pth")
    for number, backbone in enumerate((None, tmp_path / "vit", tmp_path / "dino.pth")):
        output = tmp_path / f"out{number}"
        done = convert_depthg(checkpoint=path, output=output, backbone=backbone)
        read, state = DepthGSegmenter.from_pretrained(output).checkpoint_state(), network.checkpoint_state()
        assert all(torch.equal(tensor, state[name]) for name, tensor in read.items())
        record = json.loads((output / "conversion.json").read_text())
        assert record["tensors_sha256"] == done.digest and record["supervision"].startswith("self-supervised")
        files = {part: entry["file"] for part, entry in record["made_from"].items()}
        assert files == {"checkpoint": "depthg.ckpt"} | ({"backbone": "dino.pth"} if number == 2 else {})
        assert record.get("backbone") == (str(tmp_path / "vit") if number == 1 else None)


def test_a_file_that_does_not_fit_writes_nothing(tmp_path):
    torch.save({"state_dict": {"net.x": torch.zeros(1)}}, tmp_path / "other.ckpt")
    with pytest.raises(WeightsError, match="other.ckpt is no checkpoint of DepthG: it holds net.x, …; what fits is a"):
        convert_depthg(checkpoint=tmp_path / "other.ckpt", output=tmp_path / "out")
    assert not (tmp_path / "out").exists()
