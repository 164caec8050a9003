"""Views: square windows of a picture at several zooms, mirrored and recoloured, and which spots their tokens show.

Decisions, ours:

* A window keeps the picture's aspect ratio: street classes live at known heights and shapes.
* The largest window spans the whole picture height, because that is what inference shows the network, and absolute
  height in the picture tells road from sky.
* Colour jitter shifts brightness, contrast, saturation and hue moderately: hue stays informative (vegetation, sky),
  but the paint of one car is no longer its identity.
* Pictures come as 8-bit RGB arrays and nothing else; there is nowhere to hand in a label.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from mbps_dataset.errors import InputError


class Pictures(Protocol):
    """Training pictures by number: anything with a length whose items are uint8 [H, W, 3] RGB arrays."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> NDArray[np.uint8]: ...


class Windows(NamedTuple):
    """Square windows cut from pictures: `pixels` [B, 3, S, S] float in [0, 1] and where each lay.

    `box` [B, 3]: top, left and side in pixels of its picture, `picture_hw` [B, 2]; `mirrored` [B] bool.
    """

    pixels: Tensor
    box: Tensor
    picture_hw: Tensor
    mirrored: Tensor

    def spots(self, side: int) -> Tensor:
        """Centres of `side` x `side` tokens as shares of the picture's height and width: [B, side^2, 2], (row, column)."""
        centre = (torch.arange(side, dtype=torch.float32) + 0.5) / side
        down, across = (item.reshape(1, -1) for item in torch.meshgrid(centre, centre, indexing="ij"))
        across = torch.where(self.mirrored[:, None], 1 - across, across)
        rows = down * self.box[:, 2:3] + self.box[:, 0:1]
        columns = across * self.box[:, 2:3] + self.box[:, 1:2]
        return torch.stack([rows, columns], dim=-1) / self.picture_hw[:, None]


def draw_picture_indices(count: int, pictures: Pictures) -> list[int]:
    """`count` picture numbers, drawn with replacement from torch's default generator. Raises `InputError` if empty."""
    if len(pictures) == 0:
        raise InputError("There are no pictures to train on; give a source with at least one image.")
    return torch.randint(len(pictures), (count,)).tolist()


def draw_windows(
    pictures: Pictures, indices: Sequence[int], size_px: int, *, share: tuple[float, float], mirror: bool = True
) -> Windows:
    """One random window per picture number, resized to `size_px`.

    The side is a share of the shorter picture side, uniform in logarithm between the two values of `share`.
    """
    cut = [_draw_window(pictures[index], size_px, share) for index in indices]
    pixels = torch.stack([window for window, _ in cut])
    mirrored = torch.rand(len(indices)) < (0.5 if mirror else 0.0)
    pixels = torch.where(mirrored[:, None, None, None], pixels.flip(3), pixels)
    sizes = torch.tensor([pictures[index].shape[:2] for index in indices], dtype=torch.float32)
    return Windows(pixels, torch.tensor([box for _, box in cut]), sizes, mirrored)


def _draw_window(
    picture: NDArray[np.uint8], size_px: int, share: tuple[float, float]
) -> tuple[Tensor, tuple[float, float, float]]:
    height, width = picture.shape[:2]
    low, high = np.log(share[0]), np.log(share[1])
    draws = torch.rand(3).tolist()
    side = max(1, min(round(min(height, width) * float(np.exp(low + (high - low) * draws[0]))), height, width))
    top, left = int(draws[1] * (height - side + 1)), int(draws[2] * (width - side + 1))
    part = picture[top : top + side, left : left + side]
    pixels = torch.tensor(np.asarray(part)).permute(2, 0, 1)[None].float() / 255
    if side != size_px:
        pixels = F.interpolate(pixels, (size_px, size_px), mode="bilinear", antialias=side > size_px)
    return pixels[0], (float(top), float(left), float(side))


def jitter_windows(
    pixels: Tensor, *, brightness: float = 0.3, contrast: float = 0.3, saturation: float = 0.3, hue_turn: float = 0.04
) -> Tensor:
    """Per picture: gain and contrast factors in 1 +- the given share, saturation likewise, hue up to `hue_turn` turns.

    `pixels` [B, 3, H, W] in [0, 1] -> the same, clipped. Hue is turned in the YIQ plane.
    """
    count = len(pixels)
    gain, spread, chroma = (
        1 + limit * (2 * torch.rand(count, 1, 1, 1) - 1) for limit in (brightness, contrast, saturation)
    )
    angle = 2 * torch.pi * hue_turn * (2 * torch.rand(count) - 1)
    yiq = pixels.new_tensor([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
    turn = torch.zeros(count, 3, 3)
    turn[:, 0, 0] = 1
    turn[:, 1, 1] = turn[:, 2, 2] = torch.cos(angle) * chroma.reshape(-1)
    turn[:, 1, 2] = -torch.sin(angle) * chroma.reshape(-1)
    turn[:, 2, 1] = torch.sin(angle) * chroma.reshape(-1)
    matrix = torch.linalg.inv(yiq) @ turn.to(yiq) @ yiq
    turned = torch.einsum("bij,bjhw->bihw", matrix, pixels)
    mean = turned.mean(dim=(1, 2, 3), keepdim=True)
    return ((turned - mean) * spread + mean * gain).clamp(0, 1)
