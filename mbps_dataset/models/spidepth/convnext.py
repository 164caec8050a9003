"""ConvNeXtV2 as a pyramid: the raw outputs of its four stages, without a final normalisation.

The blocks are transformers' (`ConvNextV2Model`); this file only decides what is read out. The published depth weights
were made with timm's `features_only`, which reads the stages before any normalisation, and so does this.
Woo et al., "ConvNeXt V2", CVPR 2023.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from transformers import ConvNextV2Config, ConvNextV2Model


class ConvNeXtV2(nn.Module):
    """Image → one feature map per stage, at strides 4, 8, 16, 32."""

    def __init__(self, channels: Sequence[int], depths: Sequence[int]) -> None:
        super().__init__()
        config = ConvNextV2Config(hidden_sizes=list(channels), depths=list(depths), num_stages=len(channels))
        network = ConvNextV2Model(config)
        self.embeddings = network.embeddings
        self.stages = network.encoder.stages

    def forward(self, image: Tensor) -> list[Tensor]:
        """[B, 3, H, W] → [[B, C_i, H / 2^(i+2), W / 2^(i+2)] for each stage i], finest first; sizes round down."""
        features = self.embeddings(image)
        pyramid = []
        for stage in self.stages:
            features = stage(features)
            pyramid.append(features)
        return pyramid
