"""What a training image looks like, changed so that colour and sharpness are no class: blur, colours, grey (CUPS, stage 2).

Labels do not change. Numbers are CUPS': every image is blurred by a 7 × 7 Gaussian, half of them change in brightness,
contrast and saturation by up to 40 % and in hue by up to a tenth of a turn, and a fifth become grey. Hue is turned as in
`training.colour_jitter` (ours).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mbps_dataset.settings import Settings, require_ascending, setting
from mbps_dataset.stages.motion.draws import Draws
from mbps_dataset.training.colour_jitter import change_colours


BLUR_SIDE = 7


@dataclass(frozen=True)
class AppearanceSettings(Settings, prefix="appearance."):
    """How strong and how often. Raises `RecipeError` for a value out of range."""

    blur_px: tuple[float, float] = setting((0.1, 2.0), "least and largest sigma of the blur, in pixels", at_least=0.01)
    strength: float = setting(
        0.4, "brightness, contrast and saturation change by up to this share", at_least=0, at_most=1
    )
    hue_turns: float = setting(0.1, "hue changes by up to this share of a circle", at_least=0, at_most=0.5)
    recoloured: float = setting(0.5, "chance of other colours", at_least=0, at_most=1)
    grey: float = setting(0.2, "chance of no colours", at_least=0, at_most=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_ascending(self, "blur_px")


def change_appearance(images: Tensor, draws: Draws, settings: AppearanceSettings | None = None) -> Tensor:
    """`images` float32 [B, 3, H, W] in [0, 1], each changed by its own draws; the same shape and range."""
    chosen = settings or AppearanceSettings()
    numbers = torch.from_numpy(np.stack([draws(7) for _ in range(len(images))]))
    least, largest = chosen.blur_px
    changed = blurred(images, least + numbers[:, 0] * (largest - least))
    recoloured, grey = numbers[:, 5] < chosen.recoloured, numbers[:, 6] < chosen.grey
    factors = torch.where(recoloured, 1 + chosen.strength * (2 * numbers[:, 1:4].T - 1), 1.0)
    factors[2] = factors[2].masked_fill(grey, 0)
    turns = torch.where(recoloured, chosen.hue_turns * (2 * numbers[:, 4] - 1), 0.0)
    other = recoloured | grey
    changed[other] = change_colours(changed[other][:, None], factors[:, other], turns[other])[:, 0]
    return changed


def blurred(images: Tensor, sigmas: Tensor) -> Tensor:
    """Each of `images` [B, C, H, W] blurred by a 7 × 7 Gaussian of its sigma in pixels, `sigmas` [B]; borders mirrored.

    Raises `ValueError` for images with a side below 4, where there is nothing to mirror.
    """
    batch, channels, height, width = images.shape
    reach = BLUR_SIDE // 2
    if min(height, width) <= reach:
        raise ValueError(f"Expected images of at least {reach + 1} pixels a side to blur, but got {height} × {width}.")
    places = torch.arange(-reach, reach + 1, dtype=torch.float32)
    kernels = torch.exp(-(places**2) / (2 * sigmas[:, None].float() ** 2))
    kernels = (kernels / kernels.sum(1, keepdim=True)).to(images).repeat_interleave(channels, 0)
    flat = F.pad(images.reshape(1, batch * channels, height, width), (reach,) * 4, mode="reflect")
    flat = F.conv2d(flat, kernels[:, None, None, :], groups=batch * channels)
    return F.conv2d(flat, kernels[:, None, :, None], groups=batch * channels).reshape(images.shape)
