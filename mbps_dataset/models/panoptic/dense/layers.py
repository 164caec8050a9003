"""The trunk of a dense panoptic network: residual stages down to stride 32, and back up to stride 4.

Panoptic-DeepLab (Cheng et al., CVPR 2020) joins an encoder pretrained on ImageNet with dilated pooling and two decoders. Ours
learns from nothing on a processor, so it is a slim ResNet (basic blocks, batch normalisation) whose deepest stages see far
enough, and one decoder that takes in a stage at a time and parts only at stride 4.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


def convolution(inputs: int, outputs: int, *, stride: int = 1, kernel: int = 3) -> nn.Sequential:
    """Convolution without bias, batch normalisation, ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


class ResidualBlock(nn.Module):
    """Two 3 × 3 convolutions and a shortcut (He et al., CVPR 2016), which is a 1 × 1 convolution where sizes change."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.first = convolution(inputs, outputs, stride=stride)
        self.second = nn.Sequential(nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs))
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, values: Tensor) -> Tensor:
        """[B, inputs, h, w] → [B, outputs, h / stride, w / stride]."""
        return functional.relu(self.second(self.first(values)) + self.shortcut(values))


class Encoder(nn.Module):
    """Image to the maps of strides 4, 8, 16 and 32."""

    def __init__(self, widths: Sequence[int], blocks: Sequence[int]) -> None:
        super().__init__()
        self.stem = convolution(3, widths[0], stride=2)
        self.stages = nn.ModuleList(
            nn.Sequential(ResidualBlock(before, after, 2), *(ResidualBlock(after, after) for _ in range(count - 1)))
            for before, after, count in zip(widths, widths[1:], blocks)
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        """[B, 3, H, W] → maps [B, widths[k], H / s, W / s] of strides 4, 8, 16, 32."""
        values, maps = self.stem(images), []
        for stage in self.stages:
            values = stage(values)
            maps.append(values)
        return maps


class Decoder(nn.Module):
    """Maps of four strides to one of stride 8 that has seen them all, deepest first."""

    def __init__(self, widths: Sequence[int], outputs: Sequence[int]) -> None:
        super().__init__()
        inputs = [widths[-1], *outputs[:-1]]
        self.joins = nn.ModuleList(JoinLarger(*sizes) for sizes in zip(inputs, reversed(widths[:-1]), outputs))

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps from the largest to the deepest → [B, outputs[-1], h, w] of the largest's size."""
        values = maps[-1]
        for join, larger in zip(self.joins, reversed(maps[:-1])):
            values = join(values, larger)
        return values


class JoinLarger(nn.Module):
    """A map doubled in size and joined with that of the stage above: concatenated behind a 1 × 1 convolution, then 3 × 3."""

    def __init__(self, inputs: int, larger: int, outputs: int) -> None:
        super().__init__()
        kept = max(larger // 2, 1)
        self.project = convolution(larger, kept, kernel=1)
        self.fuse = convolution(inputs + kept, outputs)

    def forward(self, values: Tensor, larger: Tensor) -> Tensor:
        """[B, inputs, h, w] and [B, larger, 2 h, 2 w] → [B, outputs, 2 h, 2 w]."""
        doubled = functional.interpolate(values, size=larger.shape[-2:], mode="bilinear", align_corners=False)
        return self.fuse(torch.cat([doubled, self.project(larger)], dim=1))
