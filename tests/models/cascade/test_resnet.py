from __future__ import annotations

import torch

from mbps_dataset.models.cascade.resnet import ResNet
from tests.models.cascade.tiny_network import TINY


def test_stages_halve_the_image_and_only_the_first_block_projects():
    torch.manual_seed(0)
    network = ResNet(TINY).eval()
    stages = network(torch.randn(2, 3, 64, 96))
    assert [tuple(stage.shape) for stage in stages] == [
        (2, 32, 16, 24), (2, 64, 8, 12), (2, 128, 4, 6), (2, 256, 2, 3)
    ]  # fmt: skip
    names = set(network.state_dict())
    assert "res2.0.shortcut.norm.running_var" in names and "res3.1.conv3.weight" in names
    assert not any(name.startswith("res3.1.shortcut") or name.endswith("conv1.bias") for name in names)


def test_the_stride_lies_in_the_three_by_three_convolution():
    block = ResNet(TINY).res3[0]
    assert block.conv1.stride == (1, 1) and block.conv2.stride == (2, 2) and block.shortcut.stride == (2, 2)
