"""The encoder of RAFT: an image to a map of an eighth of its size.

Published layout: 7×7 convolution of stride 2, three stages of two residual blocks (strides 1, 2, 2), 1×1 convolution. The
same class serves as feature encoder (instance norm) and as context encoder (instance norm in SMURF, batch norm in
torchvision's RAFT-large). Instance norm has neither weights nor running statistics. Module names are those of the
published checkpoints.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn


NormOf = Callable[[int], nn.Module]

NORMS: dict[str, NormOf] = {"instance": nn.InstanceNorm2d, "batch": nn.BatchNorm2d}


class ConvolutionNormReLU(nn.Sequential):
    """Convolution that keeps the size up to its stride, norm, ReLU (`relu` False: none): [B, I, H, W] → [B, O, h, w]."""

    def __init__(
        self, inputs: int, outputs: int, *, kernel: int, stride: int, norm: NormOf, relu: bool = True
    ) -> None:
        convolution = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2)
        super().__init__(convolution, norm(outputs), *([nn.ReLU()] if relu else []))


class ResidualBlock(nn.Module):
    """relu(x + f(x)) with two 3×3 convolutions; x is projected where the block halves the size."""

    def __init__(self, inputs: int, outputs: int, *, stride: int, norm: NormOf) -> None:
        super().__init__()
        self.convnormrelu1 = ConvolutionNormReLU(inputs, outputs, kernel=3, stride=stride, norm=norm)
        self.convnormrelu2 = ConvolutionNormReLU(outputs, outputs, kernel=3, stride=1, norm=norm)
        self.downsample: nn.Module = nn.Identity()
        if stride > 1:
            self.downsample = ConvolutionNormReLU(inputs, outputs, kernel=1, stride=stride, norm=norm, relu=False)

    def forward(self, features: Tensor) -> Tensor:
        return torch.relu(self.downsample(features) + self.convnormrelu2(self.convnormrelu1(features)))


class Encoder(nn.Module):
    """Image [B, 3, H, W] in [-1, 1] → [B, `outputs`, H/8, W/8]; `norm` is "instance" or "batch"."""

    def __init__(self, widths: Sequence[int], outputs: int, *, norm: str) -> None:
        super().__init__()
        stem, first, second, third = widths
        make = NORMS[norm]
        self.convnormrelu = ConvolutionNormReLU(3, stem, kernel=7, stride=2, norm=make)
        self.layer1 = self._stage(stem, first, stride=1, norm=make)
        self.layer2 = self._stage(first, second, stride=2, norm=make)
        self.layer3 = self._stage(second, third, stride=2, norm=make)
        self.conv = nn.Conv2d(third, outputs, kernel_size=1)

    @staticmethod
    def _stage(inputs: int, outputs: int, *, stride: int, norm: NormOf) -> nn.Sequential:
        return nn.Sequential(
            ResidualBlock(inputs, outputs, stride=stride, norm=norm),
            ResidualBlock(outputs, outputs, stride=1, norm=norm),
        )

    def forward(self, image: Tensor) -> Tensor:
        return self.conv(self.layer3(self.layer2(self.layer1(self.convnormrelu(image)))))
