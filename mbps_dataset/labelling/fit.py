"""Whether the settings of a recipe fit its networks and files, told before anything is labelled.

Only the small descriptions beside the weights are read (``config.json``, ``preprocessor_config.json``), no network: what
they do not say is left to the network itself. Every message names a value that would fit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mbps_dataset.errors import RecipeError, WeightsError
from mbps_dataset.labelling.calibration import class_names
from mbps_dataset.models.cause.centroids import read_centroids, read_cluster_names
from mbps_dataset.models.networks import recipe_networks, weights_folder
from mbps_dataset.models.opencv_flow import OpenCvFlow
from mbps_dataset.models.saved_network import CONFIG_FILE, read_config
from mbps_dataset.recipe import Recipe
from mbps_dataset.stages.depth_guided_semantics import MULTIPLE
from mbps_dataset.stages.semantics import PATCH


_SPIDEPTH_SIZES = ("patch_size", "queries", "positions", "height", "width")


def require_fit(recipe: Recipe) -> None:
    """Raises `RecipeError` naming the first setting that cannot work and what would, `WeightsError` for a damaged file."""
    described = {network: _config(network, reference) for network, reference in recipe_networks(recipe).items()}
    semantics = described[recipe.semantic_network]
    if recipe.semantics.codes == "tokens":
        _require_tokens(recipe, semantics)
    _require_windows(recipe, semantics) if recipe.semantics.method == "cause" else _require_pieces(recipe, semantics)
    _require_clusters(recipe, semantics)
    if recipe.semantics.windows == "depth" and "depth_estimation" in described:
        _require_metres(recipe, described["depth_estimation"])
    if "spidepth" in described:
        _require_spidepth_size(recipe, described["spidepth"])
    if "depth_estimation" in described:
        _require_multiple(recipe)
    if recipe.needs_flow and recipe.flow.method == "opencv":
        OpenCvFlow.of(recipe.flow)  # refuses what it cannot do
    if recipe.depth.method == "stereo" and recipe.depth.ego_crop:
        raise RecipeError("depth.ego_crop is for networks; with depth.method 'stereo' pass --set depth.ego_crop=0.")
    if recipe.things.method == "cityscapes" and recipe.naming.method == "none":
        raise RecipeError("things.method 'cityscapes' needs named classes; set naming.method, or use 'attention'.")
    if beyond := [k for k in recipe.things.ids if k >= len(class_names(recipe))]:
        raise RecipeError(
            f"things.ids names the class {beyond[0]}, but the classes are 0 to {len(class_names(recipe)) - 1}."
        )


def _config(network: str, reference: str | None, name: str = CONFIG_FILE) -> Mapping[str, Any]:
    folder = weights_folder(network, reference)
    return read_config(folder, name) if (folder / name).is_file() else {}


def _require_windows(recipe: Recipe, config: Mapping[str, Any]) -> None:
    settings, crop = recipe.semantics, _number(config, "crop")
    if settings.codes == "head" and crop is not None and settings.crop != crop:
        raise RecipeError(
            f"semantics.crop is {settings.crop}, but the weights {settings.weights} were made for windows of {crop} pixels; "
            f"pass --set semantics.crop={crop} (and a semantics.stride of at most that)."
        )
    side = max(settings.short_side // PATCH * PATCH, PATCH)
    if 1.0 in settings.scales and 2 * side <= settings.crop:
        least = (settings.crop // 2 // PATCH + 1) * PATCH
        raise RecipeError(
            f"semantics.short_side={settings.short_side} is too small for windows of {settings.crop} pixels, which "
            f"reflection at the edge must fill; pass --set semantics.short_side={least} or more."
        )


def _require_tokens(recipe: Recipe, config: Mapping[str, Any]) -> None:
    """A DINOv2 takes windows of any whole number of patches, and whitening leaves at most as many channels as it has."""
    settings, patch, channels = recipe.semantics, _number(config, "patch_size"), _number(config, "hidden_size")
    if patch is not None and patch != PATCH:
        raise RecipeError(
            f"semantics.backbone: {settings.backbone} has patches of {patch} pixels, but codes that are tokens have {PATCH}; "
            "take a DINOv2, such as facebook/dinov2-small."
        )
    if settings.crop % PATCH:
        raise RecipeError(
            f"semantics.crop is {settings.crop}, but windows hold whole patches of {PATCH} pixels; pass --set "
            f"semantics.crop={max(settings.crop // PATCH, 1) * PATCH}."
        )
    if channels is not None and settings.directions > channels:
        raise RecipeError(
            f"semantics.directions is {settings.directions}, but the tokens of {settings.backbone} have {channels} channels; "
            f"pass --set semantics.directions={min(64, channels)}, or 0 only to centre them."
        )


def _require_pieces(recipe: Recipe, config: Mapping[str, Any]) -> None:
    """Windows of DepthG cover the image only if the stride divides them, and hold whole patches."""
    settings, patch = recipe.semantics, _number(config, "patch_size") or 8
    side = settings.short_side // MULTIPLE * MULTIPLE
    if settings.crop % settings.stride or settings.crop % patch:
        crop = max(settings.crop // (2 * patch), 1) * 2 * patch
        raise RecipeError(
            f"semantics.crop is {settings.crop} and semantics.stride {settings.stride}, but windows of DepthG must be a "
            f"multiple of the stride and of the patches of {patch} pixels; pass --set semantics.crop={crop} --set "
            f"semantics.stride={crop // 2}."
        )
    if settings.crop > side:
        raise RecipeError(
            f"semantics.short_side={settings.short_side} is too small for windows of {settings.crop} pixels; pass --set "
            f"semantics.short_side={math.ceil(settings.crop / MULTIPLE) * MULTIPLE} or more."
        )
    if settings.windows != "high" and int(side * settings.low_scale) < patch:
        raise RecipeError(
            f"semantics.low_scale={settings.low_scale:g} leaves {int(side * settings.low_scale)} pixels, less than a patch of "
            f"{patch}; pass --set semantics.low_scale={math.ceil(1000 * patch / side) / 1000:g} or more."
        )


def _require_metres(recipe: Recipe, config: Mapping[str, Any]) -> None:
    """Depth that weighs windows has a scale; only networks that are known are judged."""
    from mbps_dataset.models.depth_estimation import KNOWN  # late: it brings transformers along

    if KNOWN.get(str(config.get("model_type")), ("", ""))[0] == "relative inverse depth":
        raise RecipeError(
            f"semantics.windows is 'depth', which needs depth in metres, but that of {recipe.depth.weights} has no scale; pass "
            "--set depth.method=stereo (two eyes), or --set semantics.windows=average."
        )


def _require_clusters(recipe: Recipe, config: Mapping[str, Any]) -> None:
    settings = recipe.clusters
    clusters, channels = _number(config, "clusters"), _number(config, "code_dim")
    if settings.method == "probe" and clusters is not None and settings.count != clusters:
        raise RecipeError(
            f"clusters.count is {settings.count}, but the probe of the weights {recipe.semantics.weights} has {clusters} "
            f"clusters; pass --set clusters.count={clusters}, or --set clusters.method=kmeans for another number."
        )
    if settings.method == "centroids":
        read = read_centroids(Path(str(settings.centroids)).expanduser())
        found = read.centroids.shape
        if (read.token_mean is not None) != (recipe.semantics.codes == "tokens"):
            wanted = "tokens" if read.token_mean is not None else "head"
            raise RecipeError(
                f"clusters.centroids: {settings.centroids} holds clusters of semantics.codes '{wanted}', but those of the recipe "
                f"are '{recipe.semantics.codes}'; take centroids of these codes."
            )
        if read.token_mean is not None:
            channels, inputs = found[1], _number(config, "hidden_size")
            if inputs is not None and len(read.token_mean) != inputs:
                raise RecipeError(
                    f"clusters.centroids: {settings.centroids} has clusters of tokens of {len(read.token_mean)} channels, but "
                    f"those of {recipe.semantics.backbone} have {inputs}; take the backbone that they were made with."
                )
        if found[0] != settings.count:
            raise RecipeError(
                f"clusters.count is {settings.count}, but {settings.centroids} holds {found[0]} centroids; pass --set "
                f"clusters.count={found[0]}."
            )
        if channels is not None and found[1] != channels:
            raise RecipeError(
                f"clusters.centroids: {settings.centroids} has centroids of {found[1]} channels, but the codes of the "
                f"weights {recipe.semantics.weights} have {channels}; take centroids of these weights."
            )
    if recipe.naming.method == "file":
        names = len(read_cluster_names(Path(str(recipe.naming.file)).expanduser()))
        if names != settings.count:
            raise RecipeError(
                f"naming.file: {recipe.naming.file} names {names} clusters, but clusters.count is {settings.count}."
            )


def _require_spidepth_size(recipe: Recipe, config: Mapping[str, Any]) -> None:
    height, width = recipe.depth.height, recipe.depth.width
    sizes = [_number(config, name) for name in _SPIDEPTH_SIZES]
    patch, queries, positions, trained_height, trained_width = sizes
    if patch is None or queries is None or positions is None:
        return
    trained = ""
    if trained_height is not None and trained_width is not None:
        trained = (f"; they were trained at {trained_height}x{trained_width}: --set depth.height={trained_height} --set "
                   f"depth.width={trained_width}")  # fmt: skip
    stride = 2 ** (len(config.get("encoder_channels", ())) + 1)
    for name, side in (("height", height), ("width", width)):
        if side % stride:
            raise RecipeError(
                f"depth.{name}={side} is no multiple of {stride}, as the weights {recipe.depth.weights} need{trained}."
            )
    tokens = (height // 2 // patch) * (width // 2 // patch)  # the map that is cut into patches has half the size
    if not queries <= tokens <= positions:
        raise RecipeError(
            f"depth.height={height} and depth.width={width} give {tokens} patches of {2 * patch} pixels, but the weights "
            f"{recipe.depth.weights} need {queries} to {positions}{trained}."
        )


def _require_multiple(recipe: Recipe) -> None:
    """The sides of a transformers network's input, as its own processor states them."""
    config = _config("depth_estimation", recipe.depth.weights, "preprocessor_config.json")
    multiple = _number(config, "ensure_multiple_of") or _number(config, "size_divisor") or 1
    for name, side in (("height", recipe.depth.height), ("width", recipe.depth.width)):
        if side % multiple:
            below, above = math.floor(side / multiple) * multiple, math.ceil(side / multiple) * multiple
            raise RecipeError(
                f"depth.{name}={side} is no multiple of {multiple}, which the weights {recipe.depth.weights} need; pass "
                f"--set depth.{name}={above}" + (f" or {below}." if below >= 32 else ".")
            )


def _number(config: Mapping[str, Any], name: str) -> int | None:
    """A size of a network, None if it is not stated. Raises `WeightsError` for what is none."""
    value = config.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise WeightsError(f"{CONFIG_FILE}: {name} must be a whole number of at least 1, but is {value!r:.60}.")
    return value
