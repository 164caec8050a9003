"""The encoder half of SPIdepth: ConvNeXtV2 pyramid and U-Net decoder, image in, feature map at half resolution out.

The image is taken as it is, RGB in [0, 1]: the reference network is trained without mean and standard deviation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mbps_dataset.errors import WeightsError
from mbps_dataset.models.spidepth.config import ENCODER_SIZES
from mbps_dataset.models.spidepth.convnext import ConvNeXtV2
from mbps_dataset.models.spidepth.reference_names import load_assigned, plain_tensors, shape_of
from mbps_dataset.models.spidepth.unet import UNetDecoder


class DepthEncoder(nn.Module):
    """Image [B, 3, H, W] in [0, 1] → features [B, `model_dim`, H/2, W/2].

    `channels`, `depths` of the four ConvNeXtV2 stages; `decoder_channels` of the U-Net, coarse to fine.
    """

    def __init__(
        self,
        *,
        channels: Sequence[int],
        depths: Sequence[int],
        decoder_channels: Sequence[int] = (1024, 512, 256, 128),
        model_dim: int = 32,
    ) -> None:
        super().__init__()
        self.stride = 2 ** (len(channels) + 1)
        self.encoder = ConvNeXtV2(channels, depths)
        self.decoder = UNetDecoder(channels, decoder_channels, model_dim)

    def forward(self, image: Tensor) -> Tensor:
        """Sides that are no multiple of 4 round down; a side under 32 pixels raises `ValueError`."""
        if image.ndim != 4 or image.shape[1] != 3 or min(image.shape[-2:]) < self.stride:
            raise ValueError(
                f"Expected an image batch [B, 3, H, W] of at least {self.stride}x{self.stride} pixels, "
                f"but got {tuple(image.shape)}."
            )
        return self.decoder(self.encoder(image))

    @classmethod
    def from_reference(
        cls,
        state_dict: Mapping[str, Tensor],
        size: str = "huge",
        *,
        decoder_channels: Sequence[int] | None = None,
        model_dim: int | None = None,
        source: str = "The encoder's state dict",
    ) -> DepthEncoder:
        """An encoder holding the tensors of a published `encoder.pth`, without copying them.

        `size` one of `ENCODER_SIZES`. The U-Net's widths are read from the tensors unless stated; `source` names
        them in messages. Raises `WeightsError` if the tensors are those of another size, or do not fit.
        """
        if size not in ENCODER_SIZES:
            raise WeightsError(f"No ConvNeXtV2 of size '{size}'; there are {', '.join(ENCODER_SIZES)}.")
        found = plain_tensors(state_dict)
        channels, depths = ENCODER_SIZES[size]
        with torch.device("meta"):
            encoder = cls(
                channels=channels,
                depths=depths,
                decoder_channels=decoder_channels or unet_channels(found, source),
                model_dim=model_dim or shape_of(found, "decoder.final_conv.weight", rank=4, source=source)[0],
            )
        load_assigned(
            encoder, found, source=source, network=f"DepthEncoder of size '{size}'", fits=_fitting_size(found)
        )
        return encoder.eval()


def unet_channels(found: Mapping[str, Tensor], source: str) -> tuple[int, ...]:
    """Widths of the U-Net blocks, coarse to fine, read from the tensors of `encoder.pth`."""
    count = len({name.split(".")[2] for name in found if name.startswith("decoder.blocks.")})
    names = [f"decoder.blocks.{block}.conv1.conv.weight" for block in range(max(count, 1))]
    return tuple(shape_of(found, name, rank=4, source=source)[0] for name in names)


def _fitting_size(found: Mapping[str, Tensor]) -> str:
    """The size whose stem and block counts the tensors have, as an argument; empty if there is none."""
    depths = tuple(
        len({name.split(".")[3] for name in found if name.startswith(f"encoder.stages_{stage}.blocks.")})
        for stage in range(4)
    )
    stem = found.get("encoder.stem_0.weight")
    sizes = [
        size
        for size, (channels, blocks) in ENCODER_SIZES.items()
        if stem is not None and (stem.shape[0], depths) == (channels[0], blocks)
    ]
    return f"size='{sizes[0]}'" if sizes else ""
