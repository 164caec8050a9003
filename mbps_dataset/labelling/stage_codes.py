"""Stages: semantic codes of windows (report 2.1, CUPS 3.2) and of a smaller image, and what is made of them at image size.

The two resolutions are results of their own, so that recipes which join them differently run each network once. What is
common to both kinds of codes: a picture goes in, `WindowCodes` of CAUSE or `CodeMaps` of DepthG come out, and are kept as
arrays before anything scores them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mbps_dataset.arrays import RGBImage
from mbps_dataset.labelling.stage import Arrays, Run, Stage, Visit, never
from mbps_dataset.recipe import Recipe
from mbps_dataset.semantics_settings import SemanticsSettings
from mbps_dataset.stages import depth_guided_semantics, semantics
from mbps_dataset.stages.depth_guided_semantics import CodeMaps
from mbps_dataset.stages.network_pixels import network_pixels
from mbps_dataset.stages.semantics import WindowCodes
from mbps_dataset.stages.token_whitening import TokenWhitening


Codes = WindowCodes | CodeMaps

_KINDS: dict[str, type[WindowCodes] | type[CodeMaps]] = {"cause": WindowCodes, "depthg": CodeMaps}

_AFTERWARDS = ("windows", "invalid_alpha", "directions", "shrinkage")
"""Settings that decide what is made of codes, not what they are."""
_HIGH, _LOW = ("scales", "flip", "crop", "stride"), ("low_scale", "low_flip")


def _key(run: Run, *without: str) -> tuple[object, ...]:
    settings = run.recipe.deciding_settings()["semantics"]
    chosen = {name: value for name, value in settings.items() if name not in (*_AFTERWARDS, *without)}
    return run.device_type, chosen, run.contents[run.recipe.semantic_network]


def _low_key(run: Run) -> tuple[object, ...]:
    """The low resolution of CAUSE has windows too, that of DepthG none."""
    return _key(run, *(_HIGH if run.recipe.semantics.method == "depthg" else _HIGH[:2]))


def _compute(visit: Visit) -> Arrays:
    settings = visit.recipe.semantics
    pictures = [window_image(visit.image, settings, scale) for scale in settings.scales]
    return _kept(visit, [_high_resolution(visit, picture) for picture in pictures])


def _high_resolution(visit: Visit, picture: RGBImage) -> Codes:
    settings, network = visit.recipe.semantics, visit.run.network(visit.recipe.semantic_network)
    pixels = network_pixels(picture).to(visit.run.device)
    if settings.method == "depthg":
        window, stride = (settings.crop, settings.crop), (settings.stride, settings.stride)
        return depth_guided_semantics.high_resolution_codes(
            network, pixels, window=window, stride=stride, flip=settings.flip
        )
    return semantics.sliding_window_codes(
        network, pixels, crop=settings.crop, stride=settings.stride, flip=settings.flip
    )


def _compute_low(visit: Visit) -> Arrays:
    settings, network = visit.recipe.semantics, visit.run.network(visit.recipe.semantic_network)
    if settings.method == "depthg":
        pixels = network_pixels(window_image(visit.image, settings)).to(visit.run.device)
        codes: Codes = depth_guided_semantics.low_resolution_codes(
            network, pixels, scale=settings.low_scale, flip=settings.low_flip
        )
    else:
        pixels = network_pixels(window_image(visit.image, settings, settings.low_scale)).to(visit.run.device)
        codes = semantics.sliding_window_codes(
            network, pixels, crop=settings.crop, stride=settings.stride, flip=settings.low_flip
        )
    return _kept(visit, [codes])


def _kept(visit: Visit, codes: list[Codes]) -> dict[str, NDArray[Any]]:
    """Codes of one picture or several as arrays, with the size that their scores are brought to."""
    size = window_image(visit.image, visit.recipe.semantics).shape[:2]
    arrays: dict[str, NDArray[Any]] = {"size": np.array(size, dtype=np.int32)}
    for number, one in enumerate(codes):
        arrays |= {f"{number}.{name}": array for name, array in one.as_arrays().items()}
    if visit.recipe.semantics.codes == "tokens":  # many channels, which half precision holds well enough
        arrays |= {name: array.astype(np.float16) for name, array in arrays.items() if name.endswith(".codes")}
    return arrays


CODES = Stage(
    "codes", "semantic codes", 4, never, lambda run: _key(run, *_LOW), _compute,
    runs=lambda recipe: recipe.semantics.windows != "low",
)  # fmt: skip

LOW_CODES = Stage(
    "low_codes", "semantic codes at low resolution", 1, never, _low_key, _compute_low,
    runs=lambda recipe: recipe.semantics.windows != "high",
)  # fmt: skip


def code_stages(recipe: Recipe) -> tuple[Stage, ...]:
    """The stages whose codes a recipe scores; the first is the one that k-means sees."""
    return tuple(stage for stage in (CODES, LOW_CODES) if stage.runs(recipe))


def window_image(image: RGBImage, settings: SemanticsSettings, scale: float = 1.0) -> RGBImage:
    """The image as windows see it; at other scales no side is smaller than a window, as in the reference code."""
    return semantics.resize_for_windows(
        image,
        round(settings.short_side * scale),
        patch=semantics.PATCH if settings.method == "cause" else depth_guided_semantics.MULTIPLE,
        minimum_side=None if scale == 1 else settings.crop,
    )


def merged(visit: Visit, stage: Stage, per_picture: Callable[[Codes], torch.Tensor]) -> torch.Tensor:
    """Mean over the pictures of a stage of what `per_picture` makes of their codes: [K, h, w], as large as windows see it."""
    arrays = visit.result(stage)
    height, width = (int(side) for side in arrays["size"])
    kind: type[Any] = _KINDS[visit.recipe.semantics.method]
    maps: list[torch.Tensor] = []
    while any(name.startswith(f"{len(maps)}.") for name in arrays):
        maps.append(per_picture(kind.from_arrays(_of_picture(arrays, len(maps)))))
    return semantics.mean_of_scales(maps, (height, width))


def _of_picture(arrays: Arrays, number: int) -> Mapping[str, NDArray[Any]]:
    prefix = f"{number}."
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def log_probs(codes: Codes, probe: Any, alpha: float) -> torch.Tensor:
    """Scores of a cluster probe on the CPU, in published order: of CAUSE's codes as they are, of DepthG's when enlarged."""
    if isinstance(codes, CodeMaps):
        device = probe.clusters.device
        return codes.merged(lambda enlarged: probe.log_probs(enlarged.to(device), alpha).cpu())
    return semantics.merge_log_probs(codes, probe, alpha=alpha)


def code_map(codes: Codes, whitening: TokenWhitening | None = None) -> torch.Tensor:
    """Codes for every pixel, for over-clustering: [C, h, w]; of tokens that are to be whitened, whitened before."""
    if isinstance(codes, CodeMaps):
        return codes.merged()
    if whitening is not None:
        codes = replace(codes, codes=whitening(codes.codes.movedim(1, -1)).movedim(-1, 1).float())
    return semantics.merge_codes(codes)


def tokens_of(visit: Visit) -> Iterator[torch.Tensor]:
    """Tokens [N, D] of each picture of the first of `code_stages`, as they are."""
    arrays, number = visit.result(code_stages(visit.recipe)[0]), 0
    while f"{number}.codes" in arrays:
        yield torch.from_numpy(arrays[f"{number}.codes"].astype(np.float32)).movedim(1, -1).flatten(0, -2)
        number += 1
