from __future__ import annotations

import torch

from mbps_dataset.models.raft import UpdateBlock
from mbps_dataset.models.raft.update import ConvolutionalGRU, MotionEncoder
from tests.models.raft.published_weights import TINY


def random(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def test_motion_ends_with_the_flow_itself():
    flow = random(2, 2, 5, 6)
    motion = MotionEncoder(TINY)(flow, random(2, 2 * 25, 5, 6))
    assert motion.shape == (2, TINY.motion_dim, 5, 6) and torch.equal(motion[:, -2:], flow)


@torch.no_grad()
def test_a_gate_at_zero_keeps_the_state_and_at_one_replaces_it():
    gru = ConvolutionalGRU(3, 2, (1, 5))
    state, inputs = random(1, 3, 4, 6), random(1, 2, 4, 6)
    for gate, expected in ((-1e4, lambda: state), (1e4, lambda: torch.tanh(gru.convq.bias).view(1, 3, 1, 1))):
        torch.nn.init.constant_(gru.convz.bias, gate)
        torch.nn.init.zeros_(gru.convq.weight)
        torch.testing.assert_close(gru(state, inputs), expected().expand_as(state))


@torch.no_grad()
def test_an_update_keeps_the_size_of_the_maps():
    state, change = UpdateBlock(TINY)(random(1, 8, 5, 6), random(1, 6, 5, 6), random(1, 50, 5, 6), random(1, 2, 5, 6))
    assert state.shape == (1, 8, 5, 6) and change.shape == (1, 2, 5, 6) and state.abs().max() < 10
