"""ResNet-50 (He et al., CVPR 2016) as detectron2 names it, its stride in the 3 × 3 convolution.

Stem: 7 × 7 at stride 2 and a maximum over 3 × 3 at stride 2; four stages of bottlenecks at strides 4, 8, 16, 32. Every convolution
has a norm and no bias; the first block of every stage has a convolution in its shortcut.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from mbps_dataset.models.cascade.config import CascadeConfig
from mbps_dataset.models.cascade.conv_norm import ConvNorm, norm_layer


class Bottleneck(nn.Module):
    """1 × 1, 3 × 3, 1 × 1 convolutions beside a shortcut."""

    def __init__(self, inputs: int, inner: int, outputs: int, *, stride: int, norm: str, projects: bool) -> None:
        super().__init__()
        self.conv1 = ConvNorm(inputs, inner, 1, norm=norm_layer(norm, inner), relu=True)
        self.conv2 = ConvNorm(inner, inner, 3, stride=stride, padding=1, norm=norm_layer(norm, inner), relu=True)
        self.conv3 = ConvNorm(inner, outputs, 1, norm=norm_layer(norm, outputs))
        self.shortcut: nn.Module | None = None
        if projects:
            self.shortcut = ConvNorm(inputs, outputs, 1, stride=stride, norm=norm_layer(norm, outputs))

    def forward(self, maps: Tensor) -> Tensor:
        """Maps [B, inputs, H, W] → [B, outputs, H / stride, W / stride]."""
        beside = maps if self.shortcut is None else self.shortcut(maps)
        return functional.relu(self.conv3(self.conv2(self.conv1(maps))) + beside)


class Stem(nn.Module):
    """From the image to maps at stride 4."""

    def __init__(self, channels: int, norm: str) -> None:
        super().__init__()
        self.conv1 = ConvNorm(3, channels, 7, stride=2, padding=3, norm=norm_layer(norm, channels), relu=True)

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images [B, 3, H, W] → [B, channels, H / 4, W / 4]."""
        return functional.max_pool2d(self.conv1(images), kernel_size=3, stride=2, padding=1)


class ResNet(nn.Module):
    """The backbone below the pyramid: stem and stages res2 to res5."""

    def __init__(self, config: CascadeConfig) -> None:
        super().__init__()
        self.stem = Stem(config.stem_channels, config.norm)
        inputs = config.stem_channels
        for stage, (blocks, outputs) in enumerate(zip(config.stage_blocks, config.stage_channels)):
            inner, first_stride = outputs // 4, 1 if stage == 0 else 2
            made = []
            for block in range(blocks):
                stride = first_stride if block == 0 else 1
                made.append(Bottleneck(inputs, inner, outputs, stride=stride, norm=config.norm, projects=block == 0))
                inputs = outputs
            self.add_module(f"res{stage + 2}", nn.Sequential(*made))

    def forward(self, images: Tensor) -> list[Tensor]:
        """Normalised images [B, 3, H, W] → maps of res2 to res5 at strides 4, 8, 16, 32."""
        maps, stages = self.stem(images), []
        for stage in range(2, 6):
            maps = self.get_submodule(f"res{stage}")(maps)
            stages.append(maps)
        return stages
