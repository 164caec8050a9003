"""SPIdepth: self-supervised monocular depth (Lavreniuk 2024, arXiv 2404.12501), one file per box of its figure.

`convnext` the ConvNeXtV2 encoder · `unet` the decoder that joins its four scales · `encoder` the two together ·
`query_decoder` depth from image-dependent queries and adaptive bins · `network` the whole, with loading and saving ·
`config` every size · `reference_names` the names of the published checkpoints.
"""

from __future__ import annotations

from mbps_dataset.models.spidepth.config import ENCODER_SIZES, SPIdepthConfig
from mbps_dataset.models.spidepth.convnext import ConvNeXtV2
from mbps_dataset.models.spidepth.encoder import DepthEncoder
from mbps_dataset.models.spidepth.network import SPIdepth
from mbps_dataset.models.spidepth.query_decoder import QueryDecoder
from mbps_dataset.models.spidepth.unet import UNetDecoder


__all__ = [
    "ENCODER_SIZES",
    "ConvNeXtV2",
    "DepthEncoder",
    "QueryDecoder",
    "SPIdepth",
    "SPIdepthConfig",
    "UNetDecoder",
]
