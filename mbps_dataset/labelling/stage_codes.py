"""Stage: semantic codes of sliding windows (report 2.1), and what is made of them at the size of the image."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from mbps_dataset.arrays import RGBImage
from mbps_dataset.labelling.stage import Arrays, Run, Stage, Visit, never
from mbps_dataset.stage_settings import SemanticsSettings
from mbps_dataset.stages import semantics
from mbps_dataset.stages.network_pixels import network_pixels


def _key(run: Run) -> tuple[object, ...]:
    return run.device_type, run.recipe.deciding_settings()["semantics"], run.contents["cause"]


def _compute(visit: Visit) -> Arrays:
    settings, network = visit.recipe.semantics, visit.run.network("cause")
    arrays: dict[str, np.ndarray] = {"size": np.array(window_image(visit.image, settings).shape[:2], dtype=np.int32)}
    for number, scale in enumerate(settings.scales):
        pixels = network_pixels(window_image(visit.image, settings, scale)).to(visit.run.device)
        codes = semantics.sliding_window_codes(
            network, pixels, crop=settings.crop, stride=settings.stride, flip=settings.flip
        )
        arrays |= {f"{number}.{name}": array for name, array in codes.as_arrays().items()}
    return arrays


CODES = Stage("codes", "semantic codes", 3, never, _key, _compute)


def window_image(image: RGBImage, settings: SemanticsSettings, scale: float = 1.0) -> RGBImage:
    """The image as windows see it; at other scales no side is smaller than a window, as in the reference code."""
    return semantics.resize_for_windows(
        image, round(settings.short_side * scale), minimum_side=None if scale == 1 else settings.crop
    )


def merged(visit: Visit, per_windows: Callable[[semantics.WindowCodes], torch.Tensor]) -> torch.Tensor:
    """Mean over the recipe's scales of `per_windows` (`merge_codes`, say) of an image's codes: [K, h, w]."""
    arrays = visit.result(CODES)
    height, width = (int(side) for side in arrays["size"])
    maps = []
    for number in range(len(visit.recipe.semantics.scales)):
        fields = {name: arrays[f"{number}.{name}"] for name in ("codes", "positions", "size")}
        maps.append(per_windows(semantics.WindowCodes.from_arrays(fields)))
    return semantics.mean_of_scales(maps, (height, width))
