"""Every size of an SPIdepth network, so that a tiny network of the same class exists.

The defaults are the published Cityscapes network (ConvNeXtV2-Huge, 64 queries, 64 bins, depth 0.01–80). The encoder
sizes are those of the ConvNeXtV2 paper (Woo et al., CVPR 2023, table 1) and of timm, which also has "small".
"""

from __future__ import annotations

from dataclasses import dataclass

from mbps_dataset.errors import RecipeError
from mbps_dataset.settings import validate


ENCODER_SIZES: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "atto": ((40, 80, 160, 320), (2, 2, 6, 2)),
    "femto": ((48, 96, 192, 384), (2, 2, 6, 2)),
    "pico": ((64, 128, 256, 512), (2, 2, 6, 2)),
    "nano": ((80, 160, 320, 640), (2, 2, 8, 2)),
    "tiny": ((96, 192, 384, 768), (3, 3, 9, 3)),
    "small": ((96, 192, 384, 768), (3, 3, 27, 3)),
    "base": ((128, 256, 512, 1024), (3, 3, 27, 3)),
    "large": ((192, 384, 768, 1536), (3, 3, 27, 3)),
    "huge": ((352, 704, 1408, 2816), (3, 3, 27, 3)),
}
"""Name → (channels, blocks) of the four stages."""


_LARGEST, _MOST_LAYERS = 2**24, 256  # far beyond any published network; more only takes memory and time

_SIZES = (
    "encoder_channels", "encoder_depths", "decoder_channels", "model_dim", "embedding_dim", "patch_size", "queries", "bins",
    "heads", "layers", "feedforward", "positions", "height", "width",
)  # fmt: skip


@dataclass(frozen=True)
class SPIdepthConfig:
    """Sizes and range of one network; raises `RecipeError` when they cannot be built.

    The number of stages is the length of `encoder_channels`; strides are 4, 8, 16, 32.
    """

    encoder_channels: tuple[int, ...] = ENCODER_SIZES["huge"][0]  # channels per stage
    encoder_depths: tuple[int, ...] = ENCODER_SIZES["huge"][1]  # blocks per stage
    decoder_channels: tuple[int, ...] = (1024, 512, 256, 128)  # U-Net, coarse to fine, one per stage
    model_dim: int = 32  # channels of the feature map handed to the query decoder
    embedding_dim: int = 32  # channels of tokens, queries and pixels inside the query decoder
    patch_size: int = 32  # pixels of the feature map (half of the image's) per token side
    queries: int = 64  # queries: the first so many output tokens
    bins: int = 64  # depth bins per image
    heads: int = 4  # attention heads
    layers: int = 4  # transformer layers
    feedforward: int = 1024  # hidden width of a transformer layer
    positions: int = 500  # rows of the learned position table: the most tokens an image may give
    min_depth: float = 0.01  # lower edge of the first bin, units of the training (metres if they were known)
    max_depth: float = 80.0  # upper edge of the last bin
    height: int = 320  # image height the weights were trained at, pixels
    width: int = 1024  # image width the weights were trained at, pixels
    supervision: str = "unknown"  # what the weights saw; travels into the label set

    def __post_init__(self) -> None:
        for name in ("encoder_channels", "encoder_depths", "decoder_channels"):
            if isinstance(value := getattr(self, name), list):
                object.__setattr__(self, name, tuple(value))
        validate(self)
        for name in _SIZES:
            value = getattr(self, name)
            for number in value if isinstance(value, tuple) else (value,):
                most = _MOST_LAYERS if name in ("encoder_depths", "layers") else _LARGEST
                if not 1 <= number <= most:
                    raise RecipeError(f"{name} must be between 1 and {most}, but is {number}.")
        stages = len(self.encoder_channels)
        if not stages == len(self.encoder_depths) == len(self.decoder_channels):
            raise RecipeError(
                f"Expected one value per encoder stage, but got {stages} encoder_channels, "
                f"{len(self.encoder_depths)} encoder_depths and {len(self.decoder_channels)} decoder_channels."
            )
        if not 0 < self.min_depth < self.max_depth:
            raise RecipeError(f"Expected 0 < min_depth < max_depth, but got {self.min_depth} and {self.max_depth}.")
        if self.embedding_dim % self.heads:
            raise RecipeError(
                f"Expected embedding_dim to be a multiple of heads, but got {self.embedding_dim} and {self.heads}."
            )
