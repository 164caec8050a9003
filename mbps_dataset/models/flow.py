"""The small interface that everything about motion speaks: two images in, flow or disparity out.

Conventions: images [B, 3, H, W] RGB in [0, 1]; flow [B, 2, H, W] in pixels, (x, y), a point x of the first image lies at
x + flow in the second; disparity [B, H, W] in pixels, never negative: x in the left image lies at x − disparity in the
right one. A network of flow gives disparity as CUPS takes it (Hahn et al., CVPR 2025): its x component between the two
eyes, of the sign that is possible; the y component is ignored.
"""

from __future__ import annotations

from typing import Literal, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional


Eye = Literal["left", "right"]
Padding = tuple[int, int, int, int]
"""Columns added on the left and right, rows on top and at the bottom."""
Array = TypeVar("Array", Tensor, NDArray[np.float32])


class FlowNetwork(Protocol):
    """Whatever finds flow between two images and disparity between two eyes; `supervision` says what it saw in training."""

    @property
    def supervision(self) -> str: ...

    def flow(self, first: Tensor, second: Tensor) -> Tensor:
        """[B, 3, H, W] in [0, 1], twice → [B, 2, H, W] pixels, on the device of `first`."""
        ...

    def disparity(self, first: Tensor, second: Tensor, *, first_eye: Eye = "left") -> Tensor:
        """[B, 3, H, W] in [0, 1], twice → disparity of the first image [B, H, W] ≥ 0 pixels; 0 where unknown."""
        ...


def disparity_of_flow(flow: Array, first_eye: Eye) -> Array:
    """Flow between the two eyes [..., 2, H, W] → disparity of the first image [..., H, W] ≥ 0.

    max(−u, 0) where the first image is the left eye's, max(u, 0) where it is the right eye's. A component of the
    impossible sign becomes 0, which stands for no depth.
    """
    if first_eye not in ("left", "right"):
        raise ValueError(f"Expected first_eye to be 'left' or 'right', but got {first_eye!r}.")
    horizontal = flow[..., 0, :, :]
    signed = -horizontal if first_eye == "left" else horizontal
    return signed.clip(min=0)


def require_pair(first: Tensor, second: Tensor) -> None:
    """Raises `ValueError` unless both are float image batches [B, 3, H, W] of one shape with values in [0, 1]."""
    if first.shape != second.shape or first.ndim != 4 or first.shape[1] != 3:
        raise ValueError(
            f"Expected two image batches of one shape [B, 3, H, W], but got {tuple(first.shape)} and "
            f"{tuple(second.shape)}."
        )
    if not first.is_floating_point() or not second.is_floating_point():
        raise ValueError(f"Expected float images in [0, 1], but got {first.dtype} and {second.dtype}; divide by 255.")
    low, high = (float(extreme(both)) for extreme, both in ((torch.amin, torch.stack([first, second])),
                                                            (torch.amax, torch.stack([first, second]))))  # fmt: skip
    if not (low >= 0 and high <= 1):
        raise ValueError(f"Expected images in [0, 1], but got values from {low:.4g} to {high:.4g}; divide by 255.")


def padding_to(height: int, width: int, *, multiple_of: int, at_least: int) -> Padding:
    """(left, right, top, bottom) that make both sides multiples and large enough, half on each side.

    >>> padding_to(375, 1242, multiple_of=8, at_least=128)
    (3, 3, 0, 1)
    """
    missing = [max(at_least, -(-side // multiple_of) * multiple_of) - side for side in (width, height)]
    (left, top), (right, bottom) = ([m // 2 for m in missing], [m - m // 2 for m in missing])
    return left, right, top, bottom


def padded(image: Tensor, padding: Padding) -> Tensor:
    """[B, C, H, W] with its outermost pixels repeated; see `padding_to`."""
    return functional.pad(image, padding, mode="replicate") if any(padding) else image


def cropped(values: Tensor, padding: Padding) -> Tensor:
    """The reverse of `padded`: [..., H, W]."""
    left, right, top, bottom = padding
    height, width = values.shape[-2:]
    return values[..., top : height - bottom, left : width - right]
