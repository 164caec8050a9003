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
def test_the_parts_of_a_gru_make_the_published_equation():
    gru = ConvolutionalGRU(3, 2, 4, (1, 5))
    state, context, motion = random(1, 3, 4, 6), random(1, 2, 4, 6), random(1, 4, 4, 6)
    z, r = (torch.sigmoid(gate(torch.cat([state, context, motion], 1))) for gate in (gru.convz, gru.convr))
    q = torch.tanh(gru.convq(torch.cat([r * state, context, motion], 1)))
    found = gru(state, motion, gru.of_context(context))
    torch.testing.assert_close(found, (1 - z) * state + z * q)


@torch.no_grad()
def test_an_update_keeps_the_size_of_the_maps():
    block = UpdateBlock(TINY)
    of_context = block.recurrent_block.of_context(random(1, 6, 5, 6))
    state, change = block(random(1, 8, 5, 6), of_context, random(1, 50, 5, 6), random(1, 2, 5, 6))
    assert state.shape == (1, 8, 5, 6) and change.shape == (1, 2, 5, 6) and state.abs().max() < 10
