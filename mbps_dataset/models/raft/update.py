"""The recurrent update of RAFT: from correlations, flow and context to a change of the flow (Teed & Deng 2020, 3.3).

Motion encoder, two convolutional GRUs (kernels 1×5 and 5×1), flow head. Module names are those of the published
checkpoints; all convolutions keep the size.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from mbps_dataset.models.raft.config import RaftConfig


ContextTerms = tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]
"""What the context adds inside the two GRUs; see `ConvolutionalGRU.of_context`."""


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
    """h ← (1 − z) h + z q with z, r = σ(conv[h, c, m]), q = tanh(conv[r h, c, m]): state, context, motion.

    A convolution is linear in its channels, so what the context c adds to z, r and q is computed once for all updates
    (`of_context`): a fifth of the work of an update. `kernel` (height, width).
    """

    def __init__(self, state: int, context: int, motion: int, kernel: tuple[int, int]) -> None:
        super().__init__()
        self.padding = (kernel[0] // 2, kernel[1] // 2)
        self.context_channels = slice(state, state + context)
        self.convz = nn.Conv2d(state + context + motion, state, kernel, padding=self.padding)
        self.convr = nn.Conv2d(state + context + motion, state, kernel, padding=self.padding)
        self.convq = nn.Conv2d(state + context + motion, state, kernel, padding=self.padding)

    def of_context(self, context: Tensor) -> tuple[Tensor, Tensor]:
        """What the context [B, C, h, w] and the biases add to (z and r) [B, 2 S, h, w] and to q [B, S, h, w]."""
        both, q = (
            conv2d(
                context,
                torch.cat([gate.weight[:, self.context_channels] for gate in gates]),
                torch.cat([gate.bias for gate in gates if gate.bias is not None]),
                padding=self.padding,
            )
            for gates in ((self.convz, self.convr), (self.convq,))
        )
        return both, q

    def forward(self, state: Tensor, motion: Tensor, of_context: tuple[Tensor, Tensor]) -> Tensor:
        both, candidate = of_context
        gates = torch.cat([self._without_context(self.convz), self._without_context(self.convr)])
        joined = torch.cat([state, motion], dim=1)
        z, r = torch.sigmoid(conv2d(joined, gates, padding=self.padding) + both).chunk(2, dim=1)
        reset = torch.cat([r * state, motion], dim=1)
        q = torch.tanh(conv2d(reset, self._without_context(self.convq), padding=self.padding) + candidate)
        return (1 - z) * state + z * q

    def _without_context(self, gate: nn.Conv2d) -> Tensor:
        here = self.context_channels
        return torch.cat([gate.weight[:, : here.start], gate.weight[:, here.stop :]], dim=1)


class RecurrentBlock(nn.Module):
    """A GRU along rows, then one along columns."""

    def __init__(self, state: int, context: int, motion: int) -> None:
        super().__init__()
        self.convgru1 = ConvolutionalGRU(state, context, motion, (1, 5))
        self.convgru2 = ConvolutionalGRU(state, context, motion, (5, 1))

    def of_context(self, context: Tensor) -> ContextTerms:
        """What the context adds in both GRUs; once for all updates."""
        return self.convgru1.of_context(context), self.convgru2.of_context(context)

    def forward(self, state: Tensor, motion: Tensor, of_context: ContextTerms) -> Tensor:
        return self.convgru2(self.convgru1(state, motion, of_context[0]), motion, of_context[1])


class FlowHead(nn.Module):
    """State [B, S, h, w] → change of the flow [B, 2, h, w], in cells."""

    def __init__(self, state: int, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(state, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, 2, 3, padding=1)

    def forward(self, state: Tensor) -> Tensor:
        return self.conv2(torch.relu(self.conv1(state)))


class UpdateBlock(nn.Module):
    """One update: (state, what the context adds, correlations, flow) → (state, change of the flow)."""

    def __init__(self, config: RaftConfig) -> None:
        super().__init__()
        self.motion_encoder = MotionEncoder(config)
        self.recurrent_block = RecurrentBlock(config.hidden_dim, config.context_dim, config.motion_dim)
        self.flow_head = FlowHead(config.hidden_dim, config.flow_head_width)

    def forward(
        self, state: Tensor, of_context: ContextTerms, correlations: Tensor, flow: Tensor
    ) -> tuple[Tensor, Tensor]:
        state = self.recurrent_block(state, self.motion_encoder(flow, correlations), of_context)
        return state, self.flow_head(state)
