"""Depth of one image, from the network's input to the normalised map that instances are cut on (report 2.2).

Decisions and where they come from:

* the image is resized with Pillow's LANCZOS to the network's size, whatever its aspect, and given as RGB in [0, 1]
  without mean and standard deviation (reference code);
* prediction for the image and, mirrored back, for its mirror image are averaged (reference code; default) or blended
  so that near each side border only the prediction that saw more of the scene counts (Godard et al., CVPR 2017,
  as the authors of SPIdepth do for their benchmark);
* the network answers at half its input's size; the map is enlarged bilinearly, `align_corners=False` (reference code;
  the report speaks of full size);
* normalisation is per image, minimum to 0 and maximum to 1, of depth and not of its inverse (reference code). The
  record keeps the values before it;
* a bound on depth is ours, for depth of others than SPIdepth: stereo and some networks give a stray pixel kilometres, and
  minimum and maximum would then leave no range to the street. What lies beyond the bound is clipped to it;
* unknown depth is ours: NaN stays out of minimum and maximum and takes the value of the nearest known pixel, so that no
  edge appears where nothing is known;
* the ego-car crop is the reference's training: the bottom quarter of the frame was cut off before resizing.
"""

from __future__ import annotations

from typing import Protocol, TypeVar, overload

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from torch import Tensor

from mbps_dataset.arrays import DepthMap, RGBImage


FLIPS = ("mean", "ramp", "none")
"""What is done with the mirrored image."""

TRAINED_EGO_CROP = 0.25
"""Share of the frame's bottom that the reference cut off for training (the ego car)."""

FLAT = 1e-6
"""A depth range below this is no range: the normalised map is zero."""

STRAY_PERCENTILE, STRAY_FACTOR = 98.0, 2.0
"""Depth beyond so many times this percentile of an image's known depth is stray: a sky, or no depth at all (ours)."""

RAMP_FLAT, RAMP_SLOPE = 0.05, 20.0  # Godard et al.: full weight within 5 % of a border, none beyond 10 %

Array = TypeVar("Array", NDArray[np.floating], Tensor)


class DepthNetwork(Protocol):
    """Anything that maps images [B, 3, H, W] in [0, 1] to depth [B, 1, h, w], larger is farther."""

    def __call__(self, image: Tensor) -> Tensor: ...


def crop_ego_car(image: RGBImage, share: float = TRAINED_EGO_CROP) -> RGBImage:
    """The image without the bottom `share` of its rows; raises `ValueError` unless 0 ≤ share < 1."""
    if not 0 <= share < 1:
        raise ValueError(f"Expected a share of rows in [0, 1) to crop, but got {share}.")
    height = image.shape[0]
    return image[: height - round(height * share)]


def prepare(image: RGBImage, *, height: int = 320, width: int = 1024) -> Tensor:
    """uint8 [H, W, 3] → float32 [3, height, width] in [0, 1], resized with Pillow's LANCZOS."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"Expected an RGB image [H, W, 3] of uint8, but got {image.shape} of {image.dtype}.")
    resized = Image.fromarray(image).resize((width, height), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(resized)).permute(2, 0, 1).contiguous().float().div(255)


@torch.inference_mode()
def predict(model: DepthNetwork, image: Array, *, flip: str = "mean") -> Array:
    """Depth of one prepared image at the network's own resolution: float32 [3, h, w] → float32 [h', w'].

    `flip` one of `FLIPS`. The result is on the CPU. Raises `ValueError` if the network is in training mode, where
    dropout would make the result random.
    """
    if getattr(model, "training", False):
        raise ValueError("The depth network is in training mode; call its `eval()` first.")
    if flip not in FLIPS:
        raise ValueError(f"flip must be one of {', '.join(FLIPS)}, but is {flip!r}.")
    batch = torch.as_tensor(image).float()[None]
    depth = model(batch)[0, 0].float().cpu()
    if flip != "none":
        mirrored = model(batch.flip(-1))[0, 0].float().cpu()
        depth = merge_flipped(depth, mirrored, flip=flip)
    return depth.numpy() if isinstance(image, np.ndarray) else depth.clone()


def merge_flipped(depth: Tensor, depth_of_mirrored: Tensor, *, flip: str = "mean") -> Tensor:
    """Join the depth [..., h, w] of an image with the depth of its mirror image, given as predicted (not mirrored back)."""
    other = depth_of_mirrored.flip(-1)
    mean = 0.5 * (depth + other)
    if flip == "mean":
        return mean
    position = torch.linspace(0, 1, depth.shape[-1], dtype=depth.dtype)
    left = 1 - (RAMP_SLOPE * (position - RAMP_FLAT)).clamp(0, 1)
    right = left.flip(-1)
    return right * depth + left * other + (1 - left - right) * mean


@overload
def resize(depth: Tensor, height: int, width: int) -> Tensor: ...
@overload
def resize(depth: NDArray[np.floating], height: int, width: int) -> NDArray[np.float32]: ...
def resize(depth: NDArray[np.floating] | Tensor, height: int, width: int) -> NDArray[np.float32] | Tensor:
    """float [h, w] → float32 [height, width], bilinear with `align_corners=False`, not smoothed when shrinking."""
    values = torch.as_tensor(depth).float()
    if tuple(values.shape) != (height, width):
        values = F.interpolate(values[None, None], size=(height, width), mode="bilinear", align_corners=False)[0, 0]
    return values.numpy() if isinstance(depth, np.ndarray) else values


def to_unit_range(depth: Array) -> Array:
    """float [H, W] → float32 [H, W] in [0, 1]: (depth − min) / (max − min) of this image; zeros if the range is < 1e-6.

    NaN and infinite values are unknown and take the value of the nearest known pixel; zeros if none is known.
    """
    values = np.asarray(depth, dtype=np.float32)
    filled = _fill(values, np.isfinite(values))
    low, high = filled.min(), filled.max()
    normalised = (filled - low) / (high - low) if high - low >= FLAT else np.zeros_like(filled)
    return normalised if isinstance(depth, np.ndarray) else torch.from_numpy(normalised)


def largest_without_strays(depth: DepthMap) -> float:
    """The largest known depth that is at most `STRAY_FACTOR` times the `STRAY_PERCENTILE`-th percentile of known depth.

    One stray pixel in fifty leaves it where it was, and a map without strays keeps its own largest value. Infinite if
    nothing is known.

    >>> largest_without_strays(np.array([[*range(1, 100), 1963.0]], np.float32))
    99.0
    """
    values = np.asarray(depth, dtype=np.float32)
    known = values[np.isfinite(values) & (values > 0)]
    if not known.size:
        return float("inf")
    return float(known[known <= STRAY_FACTOR * np.percentile(known, STRAY_PERCENTILE)].max())


def clip(depth: DepthMap, largest: float) -> tuple[NDArray[np.float32], int]:
    """Depth float32 [H, W] in which finite values above `largest` are `largest`, and how many pixels were."""
    values = np.asarray(depth, dtype=np.float32)
    beyond = np.isfinite(values) & (values > np.float32(largest))
    count = int(beyond.sum())
    return (np.where(beyond, np.float32(largest), values) if count else values), count


def invert(depth: DepthMap) -> NDArray[np.float32]:
    """Inverse depth float32 [H, W]: 1 / depth; NaN (unknown) where depth is unknown, that is 0, negative or not finite."""
    values = np.asarray(depth, dtype=np.float32)
    known = np.isfinite(values) & (values > 0)
    return np.divide(1, values, out=np.full_like(values, np.nan), where=known)


def fill_unknown(depth: DepthMap) -> NDArray[np.float32]:
    """Depth [H, W] whose unknown pixels (0, negative or not finite) take the value of the nearest known one.

    Ties go to the pixel that scipy's distance transform names. All zeros if no pixel is known.
    """
    values = np.asarray(depth, dtype=np.float32)
    return _fill(values, np.isfinite(values) & (values > 0))


def _fill(values: NDArray[np.float32], known: NDArray[np.bool_]) -> NDArray[np.float32]:
    if known.all():
        return values
    if not known.any():
        return np.zeros_like(values)
    rows, columns = ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)
    return values[rows, columns]
