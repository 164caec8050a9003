from __future__ import annotations

import torch

from mbps_dataset.models.panoptic.dense.layers import Decoder, Encoder, ResidualBlock


def test_the_encoder_gives_four_strides():
    maps = Encoder((4, 6, 8, 10, 12), (1, 2, 1, 1)).eval()(torch.rand(1, 3, 64, 96))
    assert [tuple(each.shape[1:]) for each in maps] == [(6, 16, 24), (8, 8, 12), (10, 4, 6), (12, 2, 3)]


def test_the_decoder_goes_back_to_the_largest_map_and_sees_the_deepest():
    maps = [torch.rand(1, 8, 8, 12), torch.rand(1, 10, 4, 6), torch.rand(1, 12, 2, 3)]
    decoder = Decoder((8, 10, 12), (7, 5)).eval()
    decoded = decoder(maps)
    assert decoded.shape == (1, 5, 8, 12)
    for place in range(3):
        changed = [each + (number == place) for number, each in enumerate(maps)]
        assert not torch.equal(decoder(changed), decoded)


def test_a_block_keeps_its_input_where_sizes_allow():
    torch.manual_seed(0)
    same, smaller = ResidualBlock(4, 4), ResidualBlock(4, 6, 2)
    torch.nn.init.zeros_(same.second[1].weight)
    values = torch.rand(2, 4, 8, 8)
    assert torch.equal(same(values), values)
    assert smaller(values).shape == (2, 6, 4, 4)
