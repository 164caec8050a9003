"""The recurrent update of RAFT: from correlations, flow and context to a change of the flow (Teed & Deng 2020, 3.3).

Motion encoder, two convolutional GRUs (kernels 1×5 and 5×1), flow head. Module names are those of the published
checkpoints; all convolutions keep the size.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mbps_dataset.models.raft.config import RaftConfig


def convolution_relu(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    """Convolution of odd `kernel` that keeps the size, then ReLU."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2), nn.ReLU())


class MotionEncoder(nn.Module):
    """Correlations [B, L, h, w] and flow [B, 2, h, w] → [B, `motion_dim`, h, w], whose last two channels are the flow."""

    def __init__(self, config: RaftConfig) -> None:
        super().__init__()
        looked_up = config.levels * (2 * config.radius + 1) ** 2
        (correlation, narrowed), (flow, narrowed_flow) = config.correlation_widths, config.flow_widths
        self.convcorr1 = convolution_relu(looked_up, correlation, 1)
        self.convcorr2 = convolution_relu(correlation, narrowed, 3)
        self.convflow1 = convolution_relu(2, flow, 7)
        self.convflow2 = convolution_relu(flow, narrowed_flow, 3)
        self.conv = convolution_relu(narrowed + narrowed_flow, config.motion_dim - 2, 3)

    def forward(self, flow: Tensor, correlations: Tensor) -> Tensor:
        both = [self.convcorr2(self.convcorr1(correlations)), self.convflow2(self.convflow1(flow))]
        return torch.cat([self.conv(torch.cat(both, dim=1)), flow], dim=1)


class ConvolutionalGRU(nn.Module):
    """h ← (1 − z) h + z tanh(q), with z, r, q convolutions of state and input; `kernel` (height, width)."""

    def __init__(self, state: int, inputs: int, kernel: tuple[int, int]) -> None:
        super().__init__()
        padding = (kernel[0] // 2, kernel[1] // 2)
        self.convz = nn.Conv2d(state + inputs, state, kernel, padding=padding)
        self.convr = nn.Conv2d(state + inputs, state, kernel, padding=padding)
        self.convq = nn.Conv2d(state + inputs, state, kernel, padding=padding)

    def forward(self, state: Tensor, inputs: Tensor) -> Tensor:
        joined = torch.cat([state, inputs], dim=1)
        z, r = torch.sigmoid(self.convz(joined)), torch.sigmoid(self.convr(joined))
        q = torch.tanh(self.convq(torch.cat([r * state, inputs], dim=1)))
        return (1 - z) * state + z * q


class RecurrentBlock(nn.Module):
    """A GRU along rows, then one along columns."""

    def __init__(self, state: int, inputs: int) -> None:
        super().__init__()
        self.convgru1 = ConvolutionalGRU(state, inputs, (1, 5))
        self.convgru2 = ConvolutionalGRU(state, inputs, (5, 1))

    def forward(self, state: Tensor, inputs: Tensor) -> Tensor:
        return self.convgru2(self.convgru1(state, inputs), inputs)


class FlowHead(nn.Module):
    """State [B, S, h, w] → change of the flow [B, 2, h, w], in cells."""

    def __init__(self, state: int, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(state, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, 2, 3, padding=1)

    def forward(self, state: Tensor) -> Tensor:
        return self.conv2(torch.relu(self.conv1(state)))


class UpdateBlock(nn.Module):
    """One update: (state, context, correlations, flow) → (state, change of the flow)."""

    def __init__(self, config: RaftConfig) -> None:
        super().__init__()
        self.motion_encoder = MotionEncoder(config)
        self.recurrent_block = RecurrentBlock(config.hidden_dim, config.context_dim + config.motion_dim)
        self.flow_head = FlowHead(config.hidden_dim, config.flow_head_width)

    def forward(self, state: Tensor, context: Tensor, correlations: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
        motion = self.motion_encoder(flow, correlations)
        state = self.recurrent_block(state, torch.cat([context, motion], dim=1))
        return state, self.flow_head(state)
