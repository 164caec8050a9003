"""Images as the network takes them: resized if its configuration says so, normalised, padded.

Padding comes after normalisation, with 0, on the right and below, to a multiple of 32 (published). CutLER, CuVLER and U2Seg resize the
short side to 800 pixels, the long one to at most 1333, with Pillow's bilinear filter on bytes; CUPS does not resize.
"""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from mbps_dataset.models.cascade.feature_pyramid import DIVISOR
from mbps_dataset.stages.network_pixels import imagenet_normalised


def network_size(height: int, width: int, *, short_side: int, longest_side: int) -> tuple[int, int]:
    """Size (height, width) at which an image is looked at; its own where `short_side` is 0.

    >>> network_size(1024, 2048, short_side=800, longest_side=1333)
    (667, 1333)
    """
    if not short_side:
        return height, width
    scale = short_side / min(height, width)
    sides = (short_side, scale * width) if height < width else (scale * height, short_side)
    shrink = min(1.0, longest_side / max(sides))
    return max(1, int(sides[0] * shrink + 0.5)), max(1, int(sides[1] * shrink + 0.5))


def resized_images(images: Tensor, size: tuple[int, int]) -> Tensor:
    """`images` float32 [B, 3, H, W] in [0, 1] at `size` (height, width), through bytes as published; as they are at their own."""
    if tuple(images.shape[-2:]) == size:
        return images
    resized = []
    for image in (images * 255).round().clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy():
        smaller = Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.BILINEAR)
        resized.append(torch.from_numpy(np.array(smaller)).permute(2, 0, 1))
    return torch.stack(resized).to(images) / 255


def network_input(images: Tensor) -> Tensor:
    """`images` float32 [B, 3, H, W] in [0, 1], normalised and then padded with 0 to multiples of 32.

    Channels lie last in memory: convolutions are faster so, and `roi_align` reads the maps as they are.
    """
    return padded(imagenet_normalised(images), 0.0).contiguous(memory_format=torch.channels_last)


def padded(maps: Tensor, value: float) -> Tensor:
    """Maps [..., H, W] with `value` on the right and below, up to multiples of 32."""
    height, width = maps.shape[-2:]
    return functional.pad(maps, (0, -width % DIVISOR, 0, -height % DIVISOR), value=value)
