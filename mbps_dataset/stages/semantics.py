"""Semantics of one image: a network over sliding windows, and what is made of the windows' codes.

Decisions, all following the reference code:

* the image is shrunk with PIL BILINEAR (which antialiases) to 322 pixels on its shorter side, sides rounded and
  floored to multiples of the patch size;
* windows of 322 pixels every 161, and one flush with the edge if the last would not reach it; an image smaller than a
  window is padded by reflection on the right and at the bottom;
* each window is encoded with its mirror image, and the two **code maps** are averaged, not their scores. All windows
  and mirrors are encoded in batches;
* scores are log_softmax(alpha · cosine) per token, brought to pixels bilinearly per window, and overlapping windows
  are averaged as **log**-probabilities;
* before the CRF the merged scores are multiplied by alpha *again* and made probabilities, an effective sharpness of
  about 9; the report's formula has alpha once, which is `SINGLE_ALPHA`.

One deviation: the reference returns token resolution for an image that is exactly one window; here the result always
has the size of the image. Code maps are kept apart from the scores (`WindowCodes`), so that the network runs once per
image whatever is made of its codes later.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional

from mbps_dataset.arrays import RGBImage, SemanticMap
from mbps_dataset.stages.network_pixels import require_rgb


PATCH = 14
"""Pixels per side of a DINOv2 patch."""
DOUBLE_ALPHA = 3.0
"""`temperature` of `crf_probabilities` in the reference code: alpha is applied a second time."""
SINGLE_ALPHA = 1.0
"""`temperature` of `crf_probabilities` in the report's text: alpha is applied once, per window."""

Array = TypeVar("Array", torch.Tensor, np.ndarray)


class CodeModel(Protocol):
    """What windows are encoded with: `codes` takes pixels [B, 3, S, S] and gives codes [B, P, C], P row by row."""

    def codes(self, pixels: torch.Tensor, /) -> torch.Tensor: ...


@dataclass(frozen=True)
class WindowCodes:
    """The codes of all windows of one image, averaged over the mirror image.

    `codes` float32 [N, C, g, g]; `positions` (top, left) of each window in pixels; `image_hw` the size of the resized
    image; `crop` the side of a window in pixels. A window may reach past the image where the image was padded.
    """

    codes: torch.Tensor
    positions: tuple[tuple[int, int], ...]
    image_hw: tuple[int, int]
    crop: int

    def __post_init__(self) -> None:
        if self.codes.ndim != 4 or self.codes.shape[0] != len(self.positions):
            raise ValueError(
                f"Expected `codes` to be [{len(self.positions)}, C, g, g], one map per position, but got "
                f"{tuple(self.codes.shape)}."
            )

    def as_arrays(self) -> dict[str, NDArray[Any]]:
        """Plain arrays for storage: `codes` float32, `positions` int32 [N, 2], `size` int32 (height, width, crop)."""
        return {
            "codes": self.codes.detach().cpu().numpy(),
            "positions": np.array(self.positions, dtype=np.int32).reshape(-1, 2),
            "size": np.array([*self.image_hw, self.crop], dtype=np.int32),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> WindowCodes:
        """The reverse of `as_arrays`."""
        height, width, crop = (int(value) for value in arrays["size"])
        positions = tuple((int(top), int(left)) for top, left in arrays["positions"])
        codes = torch.from_numpy(np.array(arrays["codes"], dtype=np.float32))
        return cls(codes=codes, positions=positions, image_hw=(height, width), crop=crop)


def resize_for_windows(
    image: RGBImage, short_side: int = 322, patch: int = PATCH, minimum_side: int | None = None
) -> RGBImage:
    """Shrink or enlarge an image so that its shorter side is `short_side`: uint8 [H, W, 3] -> uint8 [h, w, 3].

    PIL BILINEAR; both sides are rounded, floored to multiples of `patch`, and at least `minimum_side` (default: one
    patch). 1024 x 2048 becomes 322 x 644.
    """
    require_rgb(image)
    height, width = image.shape[:2]
    scale = short_side / min(height, width)
    least = patch if minimum_side is None else minimum_side
    size = [max(least, round(side * scale) // patch * patch) for side in (width, height)]
    return np.array(Image.fromarray(image).resize((size[0], size[1]), Image.Resampling.BILINEAR))


def window_positions(image_hw: tuple[int, int], crop: int, stride: int) -> tuple[tuple[int, int], ...]:
    """(top, left) of every window, row by row: every `stride` pixels, and one flush with the edge if needed.

    >>> window_positions((322, 644), 322, 161)
    ((0, 0), (0, 161), (0, 322))
    """
    if not 0 < stride <= crop:
        raise ValueError(f"Expected `stride` to be between 1 and `crop` ({crop}), but got {stride}.")
    tops, lefts = (_starts(side, crop, stride) for side in image_hw)
    return tuple((top, left) for top in tops for left in lefts)


@torch.no_grad()
def sliding_window_codes(
    model: CodeModel,
    image: torch.Tensor,
    *,
    crop: int = 322,
    stride: int = 161,
    flip: bool = True,
    batch_size: int | None = None,
    autocast: bool | None = None,
) -> WindowCodes:
    """Encode all windows of a normalised image: float32 [3, h, w] -> `WindowCodes`.

    `batch_size` windows (mirrors counted) go through the network at a time, None: all on an accelerator, two on a
    CPU, where larger batches gained nothing (measured). It does not change the result beyond float rounding.
    `autocast` uses float16, None: on CUDA only. It moves a few tokens to another codebook row (99.8 % of the labels
    stayed, on random weights); False gives the float32 numbers everywhere. Raises `ValueError` if the image is so small that
    reflection cannot fill a window.
    """
    padded = _reflect_to(image, crop)
    positions = window_positions((padded.shape[1], padded.shape[2]), crop, stride)
    windows = torch.stack([padded[:, y : y + crop, x : x + crop] for y, x in positions])
    batch = torch.cat([windows, windows.flip(-1)]) if flip else windows
    device = image.device.type
    at_a_time = batch_size or (2 if device == "cpu" else len(batch))
    half = device == "cuda" if autocast is None else autocast
    with torch.autocast(device, dtype=torch.float16, enabled=half):
        tokens = torch.cat([model.codes(part).float() for part in batch.split(at_a_time)])
    side = math.isqrt(tokens.shape[1])
    maps = tokens.transpose(1, 2).unflatten(2, (side, side))
    if flip:
        maps = (maps[: len(windows)] + maps[len(windows) :].flip(-1)) / 2
    image_hw = (int(image.shape[1]), int(image.shape[2]))
    return WindowCodes(codes=maps.contiguous(), positions=positions, image_hw=image_hw, crop=crop)


def merge_log_probs(windows: WindowCodes, probe: Any, *, alpha: float = 3.0) -> torch.Tensor:
    """Scores of all clusters for every pixel: `WindowCodes` -> float32 [K, h, w].

    `probe` is a `ClusterProbe` or its weights [K, C]. Per token log_softmax(alpha · cosine to the centres), bilinear
    to the window's pixels, mean over overlapping windows. The result is not a normalised distribution any more.
    """
    weights = torch.as_tensor(getattr(probe, "cluster_probe", probe)).detach().to(windows.codes)
    if weights.ndim != 2 or weights.shape[1] != windows.codes.shape[1]:
        raise ValueError(
            f"Expected the probe to be [K, {windows.codes.shape[1]}], as many channels as the codes have, but got "
            f"{tuple(weights.shape)}."
        )
    centres = functional.normalize(weights, dim=1)

    def score(codes: torch.Tensor) -> torch.Tensor:
        cosine = torch.einsum("kc,chw->khw", centres, functional.normalize(codes, dim=0))
        return functional.log_softmax(alpha * cosine, dim=0)

    return _merge(windows, score)


def merge_codes(windows: WindowCodes) -> torch.Tensor:
    """Codes for every pixel, for over-clustering: bilinear to the windows' pixels, mean over overlaps: -> [C, h, w]."""
    return _merge(windows, lambda codes: codes)


def sliding_window_log_probs(
    model: Any,
    image: torch.Tensor,
    *,
    probe: Any = None,
    alpha: float = 3.0,
    crop: int = 322,
    stride: int = 161,
    flip: bool = True,
    batch_size: int | None = None,
    autocast: bool | None = None,
) -> torch.Tensor:
    """Scores of all clusters for a normalised image: float32 [3, H, W] -> [K, H, W].

    `sliding_window_codes` followed by `merge_log_probs` with `probe`, by default the model's own.
    """
    windows = sliding_window_codes(
        model, image, crop=crop, stride=stride, flip=flip, batch_size=batch_size, autocast=autocast
    )
    return merge_log_probs(windows, model.probe if probe is None else probe, alpha=alpha)


def mean_of_scales(maps: Sequence[torch.Tensor], size_hw: tuple[int, int]) -> torch.Tensor:
    """Mean of maps of several sizes, each brought to `size_hw` bilinearly: [K, h_s, w_s] each -> [K, h, w]."""
    brought = [
        functional.interpolate(one[None], size=size_hw, mode="bilinear", align_corners=False)[0] for one in maps
    ]
    return torch.stack(brought).mean(dim=0) if len(brought) > 1 else brought[0]


def crf_probabilities(log_probs: Array, *, temperature: float = DOUBLE_ALPHA) -> Array:
    """Probabilities for the CRF: softmax over clusters of temperature · merged scores, [K, h, w] -> float32 [K, h, w].

    `DOUBLE_ALPHA` (3) is the reference code, `SINGLE_ALPHA` (1) the report's formula.
    """
    probs = torch.softmax(temperature * torch.as_tensor(log_probs).float(), dim=0)
    return probs.numpy() if isinstance(log_probs, np.ndarray) else probs


def label_map(scores: Array) -> SemanticMap:
    """Best cluster per pixel: scores [K, h, w] -> uint8 [h, w], uint16 above 254 clusters; ties go to the lowest id."""
    best = torch.as_tensor(scores).argmax(dim=0).cpu().numpy()
    return best.astype(np.uint8 if len(scores) <= 254 else np.uint16)


def _merge(windows: WindowCodes, per_window: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """Mean over overlapping windows of `per_window` (on [C, g, g]) brought to pixels bilinearly."""
    crop, (height, width) = windows.crop, windows.image_hw
    extent = [max(starts) + crop for starts in zip(*windows.positions)]
    total, count = None, windows.codes.new_zeros(extent)
    for codes, (top, left) in zip(windows.codes, windows.positions):
        pixels = functional.interpolate(
            per_window(codes)[None], size=(crop, crop), mode="bilinear", align_corners=False
        )
        total = pixels.new_zeros(pixels.shape[1], *extent) if total is None else total
        total[:, top : top + crop, left : left + crop] += pixels[0]
        count[top : top + crop, left : left + crop] += 1
    if total is None:
        raise ValueError("Expected `windows` to hold at least one window.")
    return total[:, :height, :width] / count[:height, :width]


def _starts(side: int, crop: int, stride: int) -> list[int]:
    starts = list(range(0, max(side - crop, 0), stride)) or [0]
    if starts[-1] + crop < side:
        starts.append(side - crop)
    return starts


def _reflect_to(image: torch.Tensor, crop: int) -> torch.Tensor:
    if image.ndim != 3 or image.shape[0] != 3:
        raise ValueError(f"Expected `image` to be normalised [3, h, w], but got {tuple(image.shape)}.")
    height, width = image.shape[1:]
    down, right = max(crop - height, 0), max(crop - width, 0)
    if down >= height or right >= width:
        raise ValueError(
            f"An image of {(height, width)} is too small for windows of {crop} pixels: reflection cannot double it; "
            "resize it or use a smaller `crop`."
        )
    return functional.pad(image[None], (0, right, 0, down), mode="reflect")[0] if down or right else image
