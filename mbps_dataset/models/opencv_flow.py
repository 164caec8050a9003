"""Flow and disparity without weights: OpenCV's DIS (Kroeger et al., ECCV 2016) and SGBM (Hirschmüller, PAMI 2008).

Decisions, ours:

* grey images for flow, colour for disparity; images smaller than a method needs are padded by repeating their border;
* the first image is widened by as many columns as disparities are searched, so that the whole of it is matched and not only
  what lies right of them; the right eye's disparity is that of the mirrored pair;
* "fine", the default, is DIS' medium preset carried on to whole pixels, which it leaves at half the size: every second pixel
  starts a patch, with 50 descents and 10 refinements. On 11 rendered scenes it leaves 3 false objects where medium leaves 10,
  and finds 5 moving things for 3, in twice the time;
* DIS gives every pixel a flow. SGBM leaves out pixels, whose disparity is 0, no depth. Neither says which pixels are hidden
  in the other image: consistency both ways does that, for every network alike.

OpenCV is an extra (``pip install 'mbps-dataset[motion]'``), imported when an `OpenCvFlow` is made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mbps_dataset.errors import RecipeError
from mbps_dataset.models.flow import Eye, cropped, padded, padding_to, require_pair
from mbps_dataset.named_recipes import BY_GEOMETRY
from mbps_dataset.stage_settings import FlowSettings


PRESETS = ("ultrafast", "fast", "medium", "fine")
"""From quick to accurate: three of DIS, and ours."""

_SMALLEST_SIDE = 32  # DIS fails below some 16 pixels a side
_FRACTIONS = 16  # SGBM counts sixteenths of a pixel


@dataclass(frozen=True)
class OpenCvFlow:
    """`flow` by DIS and `disparity` by SGBM, as `mbps_dataset.models.flow` describes them; on the CPU, the same every time.

    `preset` of DIS, one of `PRESETS`; `most_disparity` pixels, a multiple of 16, the largest disparity that is found;
    `block` pixels, odd, the side of what SGBM compares. Raises `RecipeError` if a setting is out of range or OpenCV is missing.
    """

    preset: str = "fine"
    most_disparity: int = 128
    block: int = 5
    supervision: str = field(default=BY_GEOMETRY["flow and disparity"], init=False)

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise RecipeError(f"preset must be one of {', '.join(PRESETS)}, but is {self.preset!r}.")
        if self.most_disparity < 16 or self.most_disparity % 16:
            raise RecipeError(f"most_disparity must be a positive multiple of 16, but is {self.most_disparity}.")
        if self.block < 1 or self.block % 2 == 0:
            raise RecipeError(f"block must be odd and positive, but is {self.block}.")
        import_opencv()

    @classmethod
    def of(cls, settings: FlowSettings) -> OpenCvFlow:
        """OpenCV's methods at a recipe's settings. Raises `RecipeError` as the class."""
        return cls(settings.preset, settings.most_disparity, settings.block)

    def flow(self, first: Tensor, second: Tensor) -> Tensor:
        """[B, 3, H, W] in [0, 1], twice → flow [B, 2, H, W] in pixels, float32 on the device of `first`."""
        cv2 = import_opencv()
        base = "medium" if self.preset == "fine" else self.preset
        method = cv2.DISOpticalFlow_create(getattr(cv2, f"DISOPTICAL_FLOW_PRESET_{base.upper()}"))
        if self.preset == "fine":
            method.setFinestScale(0)
            method.setPatchStride(2)
            method.setGradientDescentIterations(50)
            method.setVariationalRefinementIterations(10)

        def of_pair(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.float32]:
            grey = (cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (one, other))
            return np.moveaxis(method.calc(*grey, None), -1, 0)

        return _each_pair(first, second, of_pair, least=_SMALLEST_SIDE)

    def disparity(self, first: Tensor, second: Tensor, *, first_eye: Eye = "left") -> Tensor:
        """Disparity of the first image [B, H, W] ≥ 0 in pixels, 0 where unknown, float32 on the device of `first`."""
        if first_eye not in ("left", "right"):
            raise ValueError(f"Expected first_eye to be 'left' or 'right', but got {first_eye!r}.")
        cv2, channels = import_opencv(), 3
        matcher = cv2.StereoSGBM_create(
            minDisparity=0,
            numDisparities=self.most_disparity,
            blockSize=self.block,
            P1=8 * channels * self.block**2,  # smoothness as OpenCV's documentation advises
            P2=32 * channels * self.block**2,
            mode=cv2.STEREO_SGBM_MODE_SGBM_3WAY,
        )
        widen = ((0, 0), (self.most_disparity, 0), (0, 0))

        def of_pair(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.float32]:
            if first_eye == "right":
                one, other = one[:, ::-1], other[:, ::-1]
            wide = (np.pad(image, widen, mode="edge") for image in (one, other))
            sixteenths = matcher.compute(*wide)[:, self.most_disparity :]
            disparity = np.maximum(sixteenths, 0).astype(np.float32) / _FRACTIONS
            return disparity[:, ::-1] if first_eye == "right" else disparity

        return _each_pair(first, second, of_pair, least=self.block)


def import_opencv() -> Any:
    """The module ``cv2``. Raises `RecipeError` with the line that installs it."""
    try:
        return import_module("cv2")
    except ImportError as error:
        raise RecipeError(
            f"OpenCV is needed for flow and disparity without weights and cannot be imported ({error}); install it with "
            "`pip install 'mbps-dataset[motion]'`, or use other flow."
        ) from None


def _each_pair(
    first: Tensor,
    second: Tensor,
    of_pair: Callable[[NDArray[np.uint8], NDArray[np.uint8]], NDArray[np.float32]],
    *,
    least: int,
) -> Tensor:
    """`of_pair` of every two images of a batch, as uint8 [H, W, 3] RGB of at least `least` pixels a side."""
    require_pair(first, second)
    padding = padding_to(*first.shape[-2:], multiple_of=1, at_least=least)
    ones, others = (
        (padded(images.detach().float(), padding) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        for images in (first, second)
    )
    found = [np.ascontiguousarray(of_pair(one, other)) for one, other in zip(ones, others)]
    return cropped(torch.from_numpy(np.stack(found)).to(first.device), padding)
