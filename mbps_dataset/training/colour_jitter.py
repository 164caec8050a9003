"""Colour jitter for video: the networks see jittered frames, the photometric loss compares the originals.

Ranges are those of the SPIdepth reference code: brightness, contrast and saturation +-20 %, hue +-10 % of a turn, one
draw per triplet. Hue is turned in the YIQ plane instead of HSV (ours): linear, and no case distinctions.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


STRENGTH = 0.2
HUE_TURNS = 0.1
_LUMA = (0.299, 0.587, 0.114)
_RGB_TO_YIQ = ((0.299, 0.587, 0.114), (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))


def jitter_triplets(frames: Tensor, chosen: Tensor) -> Tensor:
    """Change the colours of the chosen triplets, alike in their three frames.

    frames [B, N, 3, H, W] in [0, 1], chosen [B] bool; same shape and range. Draws from torch's default generator.
    """
    factors = 1 + STRENGTH * (2 * torch.rand(3, len(frames)) - 1)
    turns = HUE_TURNS * (2 * torch.rand(len(frames)) - 1)
    if not chosen.any():
        return frames
    out = frames.clone()
    out[chosen] = change_colours(frames[chosen], factors[:, chosen.cpu()], turns[chosen.cpu()])
    return out


def change_colours(frames: Tensor, factors: Tensor, turns: Tensor) -> Tensor:
    """Brightness, contrast and saturation times `factors` [3, B], hue turned by `turns` [B] of a circle.

    frames [B, N, 3, H, W] in [0, 1] -> the same, clipped after each change.
    """
    brightness, contrast, saturation = factors.to(frames)[:, :, None, None, None, None]
    changed = (frames * brightness).clamp(0, 1)
    mean = _grey(changed).mean((1, 3, 4), keepdim=True)
    changed = (mean + contrast * (changed - mean)).clamp(0, 1)
    grey = _grey(changed)
    changed = (grey + saturation * (changed - grey)).clamp(0, 1)
    return torch.einsum("bij,bnjhw->bnihw", _hue_matrices(turns).to(frames), changed).clamp(0, 1)


def _grey(frames: Tensor) -> Tensor:
    return (frames * frames.new_tensor(_LUMA)[:, None, None]).sum(2, keepdim=True)


def _hue_matrices(turns: Tensor) -> Tensor:
    to_yiq = torch.tensor(_RGB_TO_YIQ)
    angle = 2 * math.pi * turns
    rotation = torch.eye(3).repeat(len(turns), 1, 1)
    rotation[:, 1, 1] = rotation[:, 2, 2] = angle.cos()
    rotation[:, 1, 2], rotation[:, 2, 1] = -angle.sin(), angle.sin()
    return torch.linalg.inv(to_yiq) @ rotation @ to_yiq
