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

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from mbps_dataset.stages.crf import PRESETS, dense_crf
from mbps_dataset.stages.network_pixels import IMAGENET_MEAN, IMAGENET_STD


FUSIONS = ("depth-guided", "average", "low", "high")
"""How the two resolutions may be joined: the rows of Table 10a."""

REFERENCE_INVALID_ALPHA = 1.0
"""What alpha(0) is: pixels without depth take the low resolution alone."""

Score = Callable[[Tensor], Tensor]
"""Codes [B, C, H, W] to log-probabilities [B, K, H, W], as `mbps_dataset.models.depthg.DepthGProbe.log_probs`."""


class CodeMapModel(Protocol):
    """What images are encoded with: normalised pixels [B, 3, H, W] to a map of codes [B, C, h, w]."""

    def code_map(self, pixels: Tensor, /) -> Tensor: ...


@torch.no_grad()
def high_resolution_log_probs(
    model: CodeMapModel,
    image: Tensor,
    score: Score,
    *,
    window: tuple[int, int],
    stride: tuple[int, int],
    batch_size: int = 4,
) -> Tensor:
    """Mean log-probabilities of overlapping windows: normalised [3, H, W] → [K, H, W].

    `window` and `stride` (height, width) in pixels; the reference takes half and a quarter of the image's height for all.
    `batch_size` windows go through the network at a time. Raises `ValueError` for windows that cannot cover the image.
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
    total, count = None, image.new_zeros(padded.shape[1:])
    for begin in range(0, len(starts), batch_size):
        some = starts[begin : begin + batch_size]
        windows = torch.stack([padded[:, y : y + window[0], x : x + window[1]] for y, x in some])
        for scores, (y, x) in zip(score(_enlarged(model.code_map(windows), window)), some):
            total = scores.new_zeros(len(scores), *padded.shape[1:]) if total is None else total
            total[:, y : y + window[0], x : x + window[1]] += scores
            count[y : y + window[0], x : x + window[1]] += 1
    assert total is not None  # the window fits into the image, so that there is one
    inside = (slice(down, down + height), slice(across, across + width))
    return total[:, inside[0], inside[1]] / count[inside]


@torch.no_grad()
def low_resolution_log_probs(model: CodeMapModel, image: Tensor, score: Score) -> Tensor:
    """Log-probabilities of the whole image at half size, its mirror image included: normalised [3, H, W] → [K, H, W].

    Halved bilinearly without antialiasing, sides rounded down.
    """
    height, width = _require_image(image)
    half = functional.interpolate(
        image[None], size=(height // 2, width // 2), mode="bilinear", align_corners=False, antialias=False
    )
    codes, mirrored = model.code_map(torch.cat([half, half.flip(-1)])).split(1)
    return score(_enlarged((codes + mirrored.flip(-1)) / 2, (height, width)))[0]


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
    fusion: str = "depth-guided",
    invalid_alpha: float = REFERENCE_INVALID_ALPHA,
) -> Tensor:
    """One map of scores from two of log-probabilities [K, H, W]; `depth` [H, W] in metres, for "depth-guided" only.

    "depth-guided" alpha · low + (1 − alpha) · high, "average" their mean, "low", "high" one of them. Not normalised.
    """
    if fusion not in FUSIONS:
        raise ValueError(f"Expected `fusion` to be one of {', '.join(FUSIONS)}, but got {fusion!r}.")
    if low.shape != high.shape or low.ndim != 3:
        raise ValueError(
            f"Expected `low` and `high` to share [K, H, W], but got {tuple(low.shape)} and {tuple(high.shape)}."
        )
    if fusion != "depth-guided":
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
