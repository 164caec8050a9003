"""DenseCRF: sharpen class probabilities along the edges of the photograph (Krähenbühl & Koltun 2011; report 2.1).

Unary energies are -ln p with p clipped to 1e-5 (not renormalised); two Potts terms pull neighbours together, one by
distance alone, one by distance and colour. What is decided here, and where it comes from:

* the numbers equal those of pydensecrf, the package every paper in this field uses: same lattice, same order of the
  features (x, y, then colours), same normalisation, a fixed number of iterations (all measured on it). It is an
  approximation of the published model; an exact one agrees on about 99 % of labels only;
* the order of the colour channels matters (the lattice is not symmetric in them) and is an argument. CAUSE and CUPS feed
  blue, green, red, hence the default. `image` itself is always RGB;
* iterations, temperature and resolution are part of the result, not knobs for speed: 10 iterations are not converged;
* temperature and working resolution belong to the caller, who resizes and sharpens before calling. `PRESETS` records
  what each published system used;
* everything off the CPU and CUDA (Apple's MPS) is computed on the CPU and moved back (ours);
* memory beside the arrays that come in: 12 bytes per pixel and class (marginals before and after an update, clipped
  probabilities), 300 to 500 bytes per pixel for index tables, and the bilateral vertices (a quarter of the pixels on
  street scenes, up to six times the pixels on pure noise) twice per class. 1024 x 2048 x 27 takes 1.5 GB, where pydensecrf
  takes 2.2. The index tables of the last two image sizes stay in memory for the next image.

Pull two noisy classes onto the edge of a picture:

>>> import numpy as np
>>> image = np.zeros((24, 32, 3), np.uint8)
>>> image[:, 16:] = 200                                            # dark left half, bright right half
>>> noise = np.random.default_rng(0).normal(0, 1, (2, 24, 32))
>>> logits = noise + np.where(image[None, ..., 0] > 100, [[[-0.5]], [[0.5]]], [[[0.5]], [[-0.5]]])
>>> probs = (np.exp(logits) / np.exp(logits).sum(0)).astype(np.float32)
>>> refined = dense_crf(image, probs)
>>> truth = (image[..., 0] > 100).astype(int)
>>> float((probs.argmax(0) == truth).mean()) < 0.85, float((refined.argmax(0) == truth).mean())
(True, 1.0)
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from importlib.util import find_spec
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mbps_dataset.errors import InputError, RecipeError
from mbps_dataset.stages.crf_presets import PRESETS, ChannelOrder, CrfKernels, CrfPreset
from mbps_dataset.stages.mean_field import GlobalTerm, LocalTerm, mean_field, reach
from mbps_dataset.stages.tiling import Tiling


__all__ = ["PRESETS", "CrfKernels", "CrfPreset", "dense_crf"]

Array = TypeVar("Array", NDArray[Any], Tensor)
Backend = Literal["torch", "pydensecrf"]

SMALLEST_PROBABILITY = 1e-5
"""Probabilities are clipped to this before the logarithm (pydensecrf's default)."""

LARGEST_COMPOSED = 600_000
"""Pixels up to which the distance-only term is multiplied out into one map of 256 bytes a pixel (ours: speed for memory)."""

SUM_TOLERANCE = 1e-2
"""How far from one a pixel's probabilities may sum; half-precision softmax stays well inside (ours)."""


def dense_crf(
    image: NDArray[np.uint8] | Tensor,
    probs: Array,
    *,
    gaussian_sxy: float = 1.0,
    gaussian_compat: float = 3.0,
    bilateral_sxy: float = 67.0,
    bilateral_srgb: float = 3.0,
    bilateral_compat: float = 4.0,
    iterations: int = 10,
    channel_order: ChannelOrder = "bgr",
    backend: Backend = "torch",
) -> Array:
    """Class probabilities after mean-field inference in a dense CRF; the label is their argmax.

    Args:
        image: [H, W, 3] uint8 RGB, or a batch [B, H, W, 3].
        probs: [K, H, W] float, K >= 2 class probabilities per pixel that sum to one; or [B, K, H, W].
        gaussian_sxy: standard deviation of the distance-only term, pixels.
        gaussian_compat: its weight, nats; 0 leaves the term out.
        bilateral_sxy: standard deviation in distance of the distance-and-colour term, pixels.
        bilateral_srgb: its standard deviation in colour, 8-bit levels.
        bilateral_compat: its weight, nats; 0 leaves the term out.
        iterations: mean-field updates; 0 gives the clipped and renormalised `probs`.
        channel_order: order in which red, green and blue enter the lattice.
        backend: "torch", or "pydensecrf" where that package is installed; the same result to about 1e-5.

    Returns:
        float32 probabilities of the shape of `probs`, a numpy array or a tensor as `probs` is, on its device.

    Raises `InputError` if an array has the wrong shape, size or type, or probabilities are none; `RecipeError` if a
    setting is out of range, or a backend is unknown or not installed.

    In a forked child, such as a `multiprocessing.Pool` makes on Linux, it computes with one thread (`mbps_dataset.forked`).

    Source: Krähenbühl & Koltun (NeurIPS 2011); the equations are in `mean_field` and `permutohedral`.
    """
    kernels = CrfKernels(
        gaussian_sxy, gaussian_compat, bilateral_sxy, bilateral_srgb, bilateral_compat, iterations, channel_order
    )
    infer = _backend(backend)
    _check_kernels(kernels)
    images, distributions = _as_tensor(image), _as_tensor(probs)
    _check_shapes(images, distributions)
    batched = distributions.ndim == 4
    pairs = zip(images, distributions) if batched else [(images, distributions)]
    refined = [infer(pixels, _checked_probs(p), kernels) for pixels, p in pairs]
    result = torch.stack(refined) if batched else refined[0]
    return result.to(distributions.device) if isinstance(probs, Tensor) else result.cpu().numpy()


def _as_tensor(array: NDArray[Any] | Tensor) -> Tensor:
    """A tensor over the same memory; arrays torch cannot share (read-only, reversed axes) are copied."""
    if isinstance(array, Tensor):
        return array.detach()
    array = np.ascontiguousarray(array)
    return torch.from_numpy(array if array.flags.writeable else array.copy())


def _infer_with_torch(image: Tensor, probs: Tensor, kernels: CrfKernels) -> Tensor:
    """Marginals [K, H, W] from our own lattice; on the GPU where `probs` is on one, else on the CPU."""
    device = probs.device if probs.device.type == "cuda" else torch.device("cpu")
    K, H, W = probs.shape
    tiling = Tiling(H, W, _tile_side(K, device))
    terms: list[GlobalTerm | LocalTerm] = []
    if kernels.gaussian_compat:
        terms.append(_position_term(tiling, kernels.gaussian_sxy, kernels.gaussian_compat, device))
    if kernels.bilateral_compat:
        colours = _ordered(image, kernels.channel_order)
        features = _features(H, W, kernels.bilateral_sxy, colours, kernels.bilateral_srgb)
        terms.append(GlobalTerm.build(features, tiling, kernels.bilateral_compat).to(device))
    rows = tiling.rows(probs.to(device), lambda p: p.clamp_(SMALLEST_PROBABILITY, 1.0))
    return tiling.planes(mean_field(rows, terms, tiling, kernels.iterations))


def _infer_with_pydensecrf(image: Tensor, probs: Tensor, kernels: CrfKernels) -> Tensor:
    """The same from the C++ package, for comparison; it needs C-contiguous arrays."""
    from pydensecrf.densecrf import DenseCRF2D

    K, H, W = probs.shape
    model = DenseCRF2D(W, H, K)
    clipped = np.clip(probs.cpu().numpy(), SMALLEST_PROBABILITY, 1.0)
    model.setUnaryEnergy(np.ascontiguousarray(-np.log(clipped).reshape(K, -1)))
    if kernels.gaussian_compat:
        model.addPairwiseGaussian(sxy=kernels.gaussian_sxy, compat=kernels.gaussian_compat)
    if kernels.bilateral_compat:
        model.addPairwiseBilateral(
            sxy=kernels.bilateral_sxy,
            srgb=kernels.bilateral_srgb,
            rgbim=np.ascontiguousarray(_ordered(image, kernels.channel_order)),
            compat=kernels.bilateral_compat,
        )
    return torch.from_numpy(np.array(model.inference(kernels.iterations), order="C").reshape(K, H, W))


def _tile_side(n_classes: int, device: torch.device) -> int:
    """Side of a tile whose marginals take about 1 MB, half a core's cache; on a GPU the image is one tile."""
    if device.type != "cpu":
        return 2**20
    return next((side for side in (256, 128, 96) if side * side * n_classes <= 2**18), 64)


@lru_cache(maxsize=2)
def _position_term(tiling: Tiling, sxy: float, compat: float, device: torch.device) -> GlobalTerm | LocalTerm:
    """The distance-only term: it depends on the size alone, so images of one size share it."""
    features = _features(tiling.height, tiling.width, sxy)
    margin = reach(sxy)
    if margin <= tiling.side // 4:
        compose = margin <= 3 and tiling.height * tiling.width <= LARGEST_COMPOSED
        return LocalTerm.build(features, tiling, margin, compat, compose).to(device)
    return GlobalTerm.build(features, tiling, compat).to(device)


def _features(
    height: int, width: int, sxy: float, colours: NDArray[np.uint8] | None = None, srgb: float = 1.0
) -> NDArray[np.float32]:
    """(x / sxy, y / sxy) and, with `colours` [H, W, 3], each colour / srgb: [2 or 5, H, W] float32, in this order."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    features = [x / np.float32(sxy), y / np.float32(sxy)]
    if colours is not None:
        features += [colours[..., channel].astype(np.float32) / np.float32(srgb) for channel in range(3)]
    return np.stack(features)


def _ordered(image: Tensor, channel_order: ChannelOrder) -> NDArray[np.uint8]:
    pixels = image.cpu().numpy()
    return pixels[..., ::-1] if channel_order == "bgr" else pixels


def _backend(name: str) -> Callable[[Tensor, Tensor, CrfKernels], Tensor]:
    if name == "torch":
        return _infer_with_torch
    if name != "pydensecrf":
        raise RecipeError(f'Expected `backend` to be "torch" or "pydensecrf", but got {name!r}.')
    if find_spec("pydensecrf") is None:
        raise RecipeError(
            "The backend pydensecrf is not installed. Use backend='torch', which gives the same labels, or install it "
            "with `pip install 'mbps-dataset[crf-parity]'` (needs a C++ compiler and Python below 3.13)."
        )
    return _infer_with_pydensecrf


def _check_kernels(kernels: CrfKernels) -> None:
    for name in ("gaussian_sxy", "bilateral_sxy", "bilateral_srgb"):
        value = getattr(kernels, name)
        if not 0 < value < float("inf"):
            raise RecipeError(f"Expected `{name}` to be a positive finite number, but got {value}.")
    for name in ("gaussian_compat", "bilateral_compat"):
        value = getattr(kernels, name)
        if not 0 <= value < float("inf"):
            raise RecipeError(f"Expected `{name}` to be zero (term left out) or positive, but got {value}.")
    if kernels.iterations < 0 or kernels.iterations != int(kernels.iterations):
        raise RecipeError(f"Expected `iterations` to be 0, 1, 2, ..., but got {kernels.iterations}.")
    if kernels.channel_order not in ("bgr", "rgb"):
        raise RecipeError(f'Expected `channel_order` to be "bgr" or "rgb", but got {kernels.channel_order!r}.')


def _check_shapes(image: Tensor, probs: Tensor) -> None:
    if (probs.ndim, image.ndim) not in ((3, 3), (4, 4)) or image.shape[-1] != 3:
        raise InputError(
            "Expected `image` [H, W, 3] with `probs` [K, H, W], or a batch of both ([B, H, W, 3], [B, K, H, W]), "
            f"but got {tuple(image.shape)} and {tuple(probs.shape)}."
        )
    if image.dtype != torch.uint8:
        raise InputError(f"Expected `image` to be uint8 in 0..255, but got {image.dtype}; multiply and cast it first.")
    if not probs.dtype.is_floating_point:
        raise InputError(f"Expected `probs` to be float probabilities, but got {probs.dtype}.")
    if image.shape[-3:-1] != probs.shape[-2:] or image.shape[:-3] != probs.shape[:-3]:
        raise InputError(
            f"Expected `image` and `probs` to share (H, W), but got {tuple(image.shape)} and {tuple(probs.shape)}; "
            "resize one of them."
        )
    if 0 in image.shape:
        raise InputError(f"Expected at least one pixel and one image, but got `image` of shape {tuple(image.shape)}.")
    if probs.shape[-3] < 2:
        raise InputError(f"Expected `probs` to hold at least 2 classes, but got K = {probs.shape[-3]}.")


def _checked_probs(probs: Tensor) -> Tensor:
    """`probs` [K, H, W] as float32, known to be probabilities."""
    probs = probs.float()
    low = float(probs.min())  # NaN if any entry is NaN
    if not low >= 0:
        what = "NaN" if low != low else f"the negative value {low:.6g}"
        raise InputError(f"Expected `probs` to be probabilities, but found {what}; pass softmax(logits).")
    furthest = float((probs.sum(dim=0) - 1).abs().max())
    if not furthest <= SUM_TOLERANCE:
        raise InputError(
            f"Expected `probs` to sum to one over the classes at every pixel, but one sum is off by {furthest:.3g}; "
            "pass softmax(logits), or divide by the sum."
        )
    return probs
