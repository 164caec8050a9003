"""The U-Net decoder that joins a feature pyramid into one map at twice its finest resolution.

Decisions, all from the reference code and its weights:

* a block first enlarges its input to the size of the skip connection, bilinear with `align_corners=True`, whatever
  that size is (odd sizes included);
* the last block has no skip connection; it enlarges by exactly two, bilinear with `align_corners=False`;
* two 3×3 convolutions per block, each without bias, then batch normalisation and ReLU;
* a 1×1 convolution to the output channels ends it; there is no centre block.

Module names are those of the published checkpoint.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ConvolutionNormReLU(nn.Module):
    """3×3 convolution without bias, batch normalisation, ReLU: [B, C_in, H, W] → [B, C_out, H, W]."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)

    def forward(self, features: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(features)))


class UNetBlock(nn.Module):
    """Enlarge, join with the skip connection if there is one, two convolutions."""

    def __init__(self, in_channels: int, skip_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = ConvolutionNormReLU(in_channels + skip_channels, out_channels)
        self.conv2 = ConvolutionNormReLU(out_channels, out_channels)

    def forward(self, features: Tensor, skip: Tensor | None) -> Tensor:
        """[B, C, h, w] and skip [B, S, H, W] → [B, O, H, W]; without skip → [B, O, 2h, 2w]."""
        if skip is None:
            features = F.interpolate(features, scale_factor=2, mode="bilinear", align_corners=False)
        else:
            features = F.interpolate(features, size=skip.shape[-2:], mode="bilinear", align_corners=True)
            features = torch.cat([features, skip], dim=1)
        return self.conv2(self.conv1(features))


class UNetDecoder(nn.Module):
    """Feature pyramid → [B, out_channels, 2 H_0, 2 W_0], where H_0 × W_0 is the size of its finest map.

    `encoder_channels` finest first, as `ConvNeXtV2` gives them; `decoder_channels` coarse to fine, equally many.
    """

    def __init__(self, encoder_channels: Sequence[int], decoder_channels: Sequence[int], out_channels: int) -> None:
        super().__init__()
        self.channels = tuple(decoder_channels)
        coarse_to_fine = list(encoder_channels)[::-1]
        inputs = [coarse_to_fine[0], *list(decoder_channels)[:-1]]
        skips = [*coarse_to_fine[1:], 0]
        self.blocks = nn.ModuleList(UNetBlock(*sizes) for sizes in zip(inputs, skips, decoder_channels))
        self.final_conv = nn.Conv2d(decoder_channels[-1], out_channels, kernel_size=1)

    def forward(self, pyramid: Sequence[Tensor]) -> Tensor:
        """`pyramid`: one [B, C_i, H_i, W_i] per stage, finest first."""
        features, *skips = pyramid[::-1]
        for block, skip in zip(self.blocks, [*skips, None]):
            features = block(features, skip)
        return self.final_conv(features)
