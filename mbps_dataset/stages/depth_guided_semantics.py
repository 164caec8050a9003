"""Semantics of one image from two resolutions, weighed by depth (CUPS, Hahn et al., CVPR 2025, 3.2; its Table 10a).

    alpha(z) = 1 / (z + 1)                        z depth in metres
    fused    = alpha · low + (1 − alpha) · high   of log-probabilities

`high` comes from overlapping windows of the whole resolution, `low` from the image at half size together with its mirror
image; scores of any two sizes of another network serve as well (`fuse_resolutions`). What is decided here, as the
reference code does unless said otherwise:

* codes are averaged over the mirror image and enlarged to pixels (bilinear), and only then scored; windows are averaged as
  **log**-probabilities;
* where height or width is no multiple of the stride, both sides are padded with stride − side mod stride zeros of the
  *normalised* image, and windows start there; every pixel is covered if the window is a multiple of the stride, and
  anything else is refused;
* the fused scores are not normalised: the softmax before the CRF does it;
* in the reference a pixel without depth has depth 0 and so alpha = 1, the low resolution alone: all of the sky. At depths
  that occur (5.5 m: 0.15, 30 m: 0.03) the low branch hardly counts. `invalid_alpha` says what such pixels get;
* the CRF sees the image after normalising and back, and the reference cuts the fractions off, so that a fifth of the values
  are one level lower; `truncate` False rounds (ours).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from mbps_dataset.stages.crf import PRESETS, dense_crf
from mbps_dataset.stages.network_pixels import IMAGENET_MEAN, IMAGENET_STD


FUSIONS = ("depth", "average", "low", "high")
"""How the two resolutions may be joined: the rows of Table 10a."""

REFERENCE_INVALID_ALPHA = 1.0
"""What alpha(0) is: pixels without depth take the low resolution alone."""

MULTIPLE = 16
"""What the sides of an image should be multiples of: two patches of DINO ViT-B/8, so that half the image has whole ones."""

_ROWS = 64
"""Rows of an image that are scored at a time."""

Score = Callable[[Tensor], Tensor]
"""Codes [B, C, H, W] to log-probabilities [B, K, H, W], as `mbps_dataset.models.depthg.DepthGProbe.log_probs`."""


class CodeMapModel(Protocol):
    """What images are encoded with: normalised pixels [B, 3, H, W] to a map of codes [B, C, h, w]."""

    def code_map(self, pixels: Tensor, /) -> Tensor: ...


@dataclass(frozen=True)
class CodeMaps:
    """Codes of equally large pieces of an image, its windows or the whole of it, before anything scores them.

    `codes` float32 [N, C, h, w]; `starts` (top, left) of each piece in pixels of the image, negative in the padding;
    `piece_hw` and `image_hw` in pixels.
    """

    codes: Tensor
    starts: tuple[tuple[int, int], ...]
    piece_hw: tuple[int, int]
    image_hw: tuple[int, int]

    def merged(self, score: Score = lambda codes: codes) -> Tensor:
        """Mean over overlapping pieces of `score` of their codes, which are enlarged to pixels first: [K, H, W].

        `score` looks at every pixel alone, and is given some rows at a time: codes of a whole image fill the memory.
        """
        (height, width), (tall, wide) = self.image_hw, self.piece_hw
        total, count = None, self.codes.new_zeros(height, width)
        for codes, (top, left) in zip(self.codes, self.starts):
            rows, columns = slice(max(top, 0), top + tall), slice(max(left, 0), left + wide)
            enlarged = _enlarged(codes[None], self.piece_hw)
            scores = torch.cat([score(some)[0] for some in enlarged.split(_ROWS, dim=2)], dim=1)
            inside = scores[:, max(-top, 0) : height - top, max(-left, 0) : width - left]
            total = inside.new_zeros(len(inside), height, width) if total is None else total
            total[:, rows, columns] += inside
            count[rows, columns] += 1
        if total is None:
            raise ValueError("Expected `codes` to hold at least one piece.")
        return total / count

    def as_arrays(self) -> dict[str, NDArray[Any]]:
        """Plain arrays for storage: `codes` float32, `starts` int32 [N, 2], `size` int32 (piece_hw, image_hw)."""
        return {
            "codes": self.codes.detach().cpu().numpy(),
            "starts": np.array(self.starts, dtype=np.int32).reshape(-1, 2),
            "size": np.array([*self.piece_hw, *self.image_hw], dtype=np.int32),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> CodeMaps:
        """The reverse of `as_arrays`."""
        tall, wide, height, width = (int(side) for side in arrays["size"])
        starts = tuple((int(top), int(left)) for top, left in arrays["starts"])
        return cls(torch.from_numpy(np.array(arrays["codes"], np.float32)), starts, (tall, wide), (height, width))


@torch.no_grad()
def high_resolution_codes(
    model: CodeMapModel,
    image: Tensor,
    *,
    window: tuple[int, int],
    stride: tuple[int, int],
    flip: bool = False,
    batch_size: int = 4,
) -> CodeMaps:
    """Codes of overlapping windows of a normalised image [3, H, W].

    `window` and `stride` (height, width) in pixels; the reference takes half and a quarter of the image's height for all,
    and no `flip`, the mean over a window and its mirror image. `batch_size` windows go through the network at a time.
    Raises `ValueError` for windows that cannot cover the image.
    """
    height, width = _require_image(image)
    for side, (length, step, extent) in zip(("height", "width"), zip(window, stride, (height, width))):
        if not 0 < step <= length or length % step:
            raise ValueError(
                f"Expected the window to be a multiple of the stride, but its {side} is {length} with {step}."
            )
        if length > extent:
            raise ValueError(f"Expected windows no larger than the image, but their {side} is {length} of {extent}.")
    down, across = (-extent % step for extent, step in zip((height, width), stride))
    padded = functional.pad(image, (across, across, down, down))
    starts = [
        (top, left)
        for top in range(0, padded.shape[1] - window[0] + 1, stride[0])
        for left in range(0, padded.shape[2] - window[1] + 1, stride[1])
    ]
    maps = []
    for begin in range(0, len(starts), batch_size):
        some = starts[begin : begin + batch_size]
        windows = torch.stack([padded[:, y : y + window[0], x : x + window[1]] for y, x in some])
        maps.append(_codes(model, windows, flip))
    places = tuple((y - down, x - across) for y, x in starts)
    return CodeMaps(torch.cat(maps), places, window, (height, width))


@torch.no_grad()
def low_resolution_codes(model: CodeMapModel, image: Tensor, *, scale: float = 0.5, flip: bool = True) -> CodeMaps:
    """Codes of a whole normalised image [3, H, W] at `scale` of its size, averaged with its mirror image's by `flip`.

    Shrunk bilinearly without antialiasing, sides rounded down.
    """
    height, width = _require_image(image)
    size_hw = (int(height * scale), int(width * scale))
    small = functional.interpolate(image[None], size=size_hw, mode="bilinear", align_corners=False, antialias=False)
    return CodeMaps(_codes(model, small, flip), ((0, 0),), (height, width), (height, width))


def _codes(model: CodeMapModel, pixels: Tensor, flip: bool) -> Tensor:
    """Code maps of images [B, 3, H, W], averaged with those of their mirror images by `flip`."""
    codes = model.code_map(pixels).float()
    return (codes + model.code_map(pixels.flip(-1)).float().flip(-1)) / 2 if flip else codes


def alpha_of_depth(depth: Tensor, *, invalid_alpha: float = REFERENCE_INVALID_ALPHA) -> Tensor:
    """Share of the low resolution: depth [H, W] in metres → 1 / (depth + 1), `invalid_alpha` where there is none.

    Depth that is not positive and finite counts as none. `invalid_alpha` in [0, 1]: 1 the low resolution alone (reference),
    0 the high one, 0.5 their average.
    """
    if not 0 <= invalid_alpha <= 1:
        raise ValueError(f"Expected `invalid_alpha` to be between 0 and 1, but got {invalid_alpha}.")
    known = torch.isfinite(depth) & (depth > 0)
    return torch.where(known, 1 / (torch.where(known, depth, 0) + 1), invalid_alpha)


def fuse_resolutions(
    low: Tensor,
    high: Tensor,
    depth: Tensor | None = None,
    *,
    fusion: str = "depth",
    invalid_alpha: float = REFERENCE_INVALID_ALPHA,
) -> Tensor:
    """One map of scores from two of log-probabilities [K, H, W]; `depth` [H, W] in metres, for "depth" only.

    "depth" alpha · low + (1 − alpha) · high, "average" their mean, "low", "high" one of them. Not normalised.
    """
    if fusion not in FUSIONS:
        raise ValueError(f"Expected `fusion` to be one of {', '.join(FUSIONS)}, but got {fusion!r}.")
    if low.shape != high.shape or low.ndim != 3:
        raise ValueError(
            f"Expected `low` and `high` to share [K, H, W], but got {tuple(low.shape)} and {tuple(high.shape)}."
        )
    if fusion != "depth":
        return {"low": low, "high": high}[fusion] if fusion in ("low", "high") else (low + high) / 2
    if depth is None or depth.shape != low.shape[1:]:
        found = "none" if depth is None else tuple(depth.shape)
        raise ValueError(f"Expected `depth` to be {tuple(low.shape[1:])} as the scores are, but got {found}.")
    alpha = alpha_of_depth(depth.to(low), invalid_alpha=invalid_alpha)
    return alpha * low + (1 - alpha) * high


def image_for_crf(image: Tensor, *, truncate: bool = False) -> NDArray[np.uint8]:
    """What the CRF sees of a normalised image [3, H, W]: uint8 [H, W, 3] RGB.

    255 (x · deviation + mean) in single precision, rounded; `truncate` True cuts the fractions off as the reference does.
    """
    mean, deviation = (image.new_tensor(values).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    levels = (image * deviation + mean) * 255
    whole = (levels if truncate else levels.round()).clamp(0, 255).to(torch.uint8)
    return np.ascontiguousarray(whole.permute(1, 2, 0).cpu().numpy())


def sharpen(
    scores: Tensor, image: NDArray[np.uint8] | Tensor, *, iterations: int | None = None, **crf_arguments: Any
) -> Tensor:
    """Probabilities after the DenseCRF of CUPS: scores [K, H, W], image uint8 [H, W, 3] RGB → float32 [K, H, W].

    softmax of the fused scores without a temperature, then the kernels of ``PRESETS["cups"]`` (10 iterations, image fed as
    blue, green, red); `crf_arguments` of `dense_crf` replace them. The label is the argmax.
    """
    arguments = PRESETS["cups"].kernels.arguments() | crf_arguments
    if iterations is not None:
        arguments["iterations"] = iterations
    return dense_crf(image, torch.softmax(scores.float(), dim=0), **arguments)


def _enlarged(codes: Tensor, size_hw: tuple[int, int]) -> Tensor:
    return functional.interpolate(codes.float(), size=size_hw, mode="bilinear", align_corners=False)


def _require_image(image: Tensor) -> tuple[int, int]:
    if image.ndim != 3 or image.shape[0] != 3 or min(image.shape[1:]) < 2:
        raise ValueError(f"Expected `image` to be normalised [3, H, W], but got {tuple(image.shape)}.")
    return int(image.shape[1]), int(image.shape[2])
