"""A convolution with its norm as a part of it, under the published names ``conv1.weight`` and ``conv1.norm.weight``."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class FrozenBatchNorm2d(nn.Module):
    """Batch normalisation whose weight, bias and statistics are buffers: never trained, never updated (CUPS' stage 3)."""

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor
    eps = 1e-5

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.ones(channels))
        self.register_buffer("bias", torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))
        self.register_buffer("num_batches_tracked", torch.zeros((), dtype=torch.int64))

    def forward(self, maps: Tensor) -> Tensor:
        """Maps [B, C, H, W] → normalised maps of that shape."""
        return functional.batch_norm(
            maps, self.running_mean, self.running_var, self.weight, self.bias, training=False, eps=self.eps
        )


def norm_layer(kind: str, channels: int) -> nn.Module:
    """ "batch": trained, with the statistics of the batch in training mode; "frozen": `FrozenBatchNorm2d`."""
    return FrozenBatchNorm2d(channels) if kind == "frozen" else nn.BatchNorm2d(channels, eps=1e-5, momentum=0.1)


class ConvNorm(nn.Conv2d):
    """A convolution without bias, a norm, and ReLU if wanted; stride and padding as `torch.nn.Conv2d`.

    Where nothing is trained the norm is folded into the convolution, which gives the same numbers to rounding and saves a pass
    over the maps.
    """

    def __init__(
        self, inputs: int, outputs: int, size: int, *, norm: nn.Module, relu: bool = False, **more: Any
    ) -> None:
        super().__init__(inputs, outputs, size, bias=False, **more)
        nn.init.kaiming_normal_(self.weight, mode="fan_out", nonlinearity="relu")
        self.norm = norm
        self.relu = relu

    def forward(self, maps: Tensor) -> Tensor:
        """Maps [B, inputs, H, W] → [B, outputs, h, w]."""
        if self._is_fixed() and isinstance(self.norm, (nn.BatchNorm2d, FrozenBatchNorm2d)):
            running_mean, running_var = self.norm.running_mean, self.norm.running_var
            assert running_mean is not None and running_var is not None  # of a norm that tracks them
            factor = self.norm.weight * (running_var + self.norm.eps).rsqrt()
            shift = self.norm.bias - running_mean * factor
            maps = self._conv_forward(maps, self.weight * factor[:, None, None, None], shift)
        else:
            maps = self.norm(super().forward(maps))
        return functional.relu(maps, inplace=self._is_fixed()) if self.relu else maps

    def _is_fixed(self) -> bool:
        """Whether no gradient and no statistics are wanted."""
        return not torch.is_grad_enabled() and not self.norm.training
