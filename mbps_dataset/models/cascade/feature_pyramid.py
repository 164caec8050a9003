"""The feature pyramid (Lin et al., CVPR 2017) over the ResNet: levels p2 to p6, all of the same channels.

Every convolution has a batch norm and no ReLU; coarser levels are doubled by repeating cells and added; p6 is every second cell of
p5.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from mbps_dataset.models.cascade.config import CascadeConfig
from mbps_dataset.models.cascade.conv_norm import ConvNorm, norm_layer
from mbps_dataset.models.cascade.resnet import ResNet


STRIDES = (4, 8, 16, 32, 64)
"""Pixels per cell of the levels p2 to p6."""

DIVISOR = 32
"""Sides of what the backbone takes are multiples of this."""


class FeaturePyramid(nn.Module):
    """ResNet and pyramid, ``backbone`` in published files."""

    def __init__(self, config: CascadeConfig) -> None:
        super().__init__()
        channels = config.pyramid_channels
        self.bottom_up = ResNet(config)
        for level, inputs in enumerate(config.stage_channels, start=2):
            lateral = ConvNorm(inputs, channels, 1, norm=norm_layer(config.norm, channels))
            output = ConvNorm(channels, channels, 3, padding=1, norm=norm_layer(config.norm, channels))
            self.add_module(f"fpn_lateral{level}", lateral)
            self.add_module(f"fpn_output{level}", output)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Normalised images [B, 3, H, W], sides multiples of 32 → maps p2 to p6, each [B, C, H / stride, W / stride]."""
        stages = self.bottom_up(images)
        levels: list[Tensor] = []
        above: Tensor | None = None
        for level in range(5, 1, -1):
            maps = self.get_submodule(f"fpn_lateral{level}")(stages[level - 2])
            if above is not None:
                maps = maps + functional.interpolate(above, scale_factor=2.0, mode="nearest")
            levels.insert(0, self.get_submodule(f"fpn_output{level}")(maps))
            above = maps
        return [*levels, levels[-1][:, :, ::2, ::2]]
