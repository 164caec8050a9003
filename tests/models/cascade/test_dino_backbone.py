from __future__ import annotations

import pickle
import re

import pytest
import torch

from mbps_dataset.errors import WeightsError
from mbps_dataset.models.cascade.dino_backbone import load_dino_backbone, published_name
from tests.models.cascade.tiny_network import tiny_network


def resnet_state(seed=3):
    return tiny_network(seed=seed).backbone.bottom_up.state_dict()


def of_torchvision(name):
    """The published name in torchvision's words, spelled out the other way round."""
    if name.startswith("stem."):
        return name.replace("stem.conv1.norm.", "bn1.").replace("stem.conv1.", "conv1.")
    name = re.sub(r"^res(\d)", lambda found: f"layer{int(found[1]) - 1}", name)
    name = name.replace("shortcut.norm.", "downsample.1.").replace("shortcut.", "downsample.0.")
    return re.sub(r"conv(\d)\.norm\.", r"bn\1.", name)


def test_both_forms_give_the_same_backbone(tmp_path):
    wanted = resnet_state()
    arrays = {name: one.numpy() for name, one in wanted.items() if not name.endswith("tracked")}
    (tmp_path / "d2.pkl").write_bytes(pickle.dumps({"model": arrays, "__author__": "x", "matching_heuristics": True}))
    own = {of_torchvision(name): one for name, one in wanted.items()} | {"fc.weight": torch.zeros(4, 256)}
    torch.save(own, tmp_path / "dino.pth")
    for file in ("d2.pkl", "dino.pth"):
        network = tiny_network(seed=9)
        before = network.roi_heads.box_head[0].fc1.weight.clone()
        load_dino_backbone(network, tmp_path / file)
        found = network.backbone.bottom_up.state_dict()
        assert all(torch.equal(found[name], one) for name, one in wanted.items() if not name.endswith("tracked"))
        assert torch.equal(network.roi_heads.box_head[0].fc1.weight, before)


def test_names_of_either_form():
    for name in resnet_state():
        assert published_name(of_torchvision(name)) == published_name(f"backbone.bottom_up.{name}") == name


def test_a_file_that_does_not_fit_is_told(tmp_path):
    state = resnet_state()
    del state["res4.0.conv2.weight"]
    torch.save(state | {"res9.weight": torch.zeros(1)}, tmp_path / "x.pth")
    with pytest.raises(WeightsError) as caught:
        load_dino_backbone(tiny_network(), tmp_path / "x.pth")
    said = str(caught.value)
    assert "x.pth does not fit the ResNet of CascadeMaskRCNN" in said and "missing (1): res4.0.conv2.weight" in said
    assert "unexpected (1): res9.weight" in said
