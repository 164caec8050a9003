"""From a recipe's settings to instances: which method of `stages.instances` runs, on what, and what comes behind it.

Methods differ in what they look at: depth, connected components at nothing but the classes, cuts and detections at
objects found without any class. Such objects depend on the picture alone, so the pipeline keeps them in the store and
here they only get their classes. Order (ours): method, then merging, then the fallback, which no merging touches.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from torch import nn

from mbps_dataset.arrays import RGBImage, SemanticMap
from mbps_dataset.errors import InputError
from mbps_dataset.sources.detections import Detections, merged, read_detections
from mbps_dataset.sources.images import DIGESTS
from mbps_dataset.stage_settings import CUT_METHODS, CutsSettings, DetectionsSettings, InstancesSettings
from mbps_dataset.stages import instances
from mbps_dataset.stages.instances import Instances
from mbps_dataset.stages.instances.patch_features import network_input, patch_features
from mbps_dataset.store import digest_of


PUBLISHED_THRESHOLD = {"maskcut": 0.15, "tokencut": 0.2, "votecut": 0.15}
PUBLISHED_MASKS = {"maskcut": 3, "votecut": 10}


def needs_objects(method: str) -> bool:
    """Whether a method gives classes to objects that were found without a class map."""
    return method in (*CUT_METHODS, "detections")


def cut(method: str, settings: CutsSettings, image: RGBImage, networks: Sequence[nn.Module], device: str) -> Instances:
    """Objects of `image` uint8 [H, W, 3] by normalised cuts of the features of `networks`, classes unknown.

    Their masks have the size that the networks see (480 x 480 as published); enlarge them by nearest neighbour.
    """
    squeezed = _squeezed(image, settings)
    features = []
    for network in networks:
        pixels = network_input(
            image, network.config.patch_size, size=settings.size, keep_aspect=settings.keep_aspect
        ).to(device)
        features.append(patch_features(network, pixels, kind=settings.features)[0])
    shape = squeezed.shape[:2]
    asked = {
        "image": squeezed if settings.crf else None,
        "threshold": PUBLISHED_THRESHOLD[method] if settings.threshold is None else settings.threshold,
    }
    if method == "votecut":
        return instances.agreed_objects(
            features, shape, max_masks=settings.masks or PUBLISHED_MASKS["votecut"], **asked
        )
    if method == "tokencut":
        return instances.cut_objects(features[0], shape, masks=1, corner_rule=False, **asked)
    masks = settings.masks or PUBLISHED_MASKS["maskcut"]
    return instances.cut_objects(features[0], shape, masks=masks, tiles=settings.tiles, **asked)


def _squeezed(image: RGBImage, settings: CutsSettings) -> RGBImage:
    """The image at the size at which masks are refined."""
    height, width = image.shape[:2]
    scale = settings.size / min(height, width)
    size = (round(width * scale), round(height * scale)) if settings.keep_aspect else (settings.size, settings.size)
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))


def find(
    settings: InstancesSettings,
    detections: DetectionsSettings,
    semantic: SemanticMap,
    shape: np.ndarray,
    things: tuple[int, ...],
    objects: Instances | None,
) -> Instances:
    """Instances of the thing classes, merged and with the fallback behind them if the settings say so.

    `semantic` [H, W] class ids; `shape` [H, W] what is cut, in [0, 1]; `objects` for methods that need them.
    """
    found = _by_method(settings, detections, semantic, shape, things, objects)
    if settings.merge:
        limits = {"max_depth_gap": settings.max_depth_gap, "min_area": settings.merge_min_area}
        found = instances.merge_by_depth(found, semantic, shape, things, **limits)
    if settings.fallback == "connected-components":
        found = instances.with_leftover_components(found, semantic, things, min_area=settings.fallback_min_area)
    return found


def _by_method(
    settings: InstancesSettings,
    detections: DetectionsSettings,
    semantic: SemanticMap,
    shape: np.ndarray,
    things: tuple[int, ...],
    objects: Instances | None,
) -> Instances:
    method, limits = settings.method, {"min_area": settings.min_area}
    if method == "connected-components":
        return instances.connected_components(semantic, None, things, **limits)
    if needs_objects(method):
        if objects is None:
            raise ValueError(f"The instance method {method} needs objects, but got none; cut or read them first.")
        if method == "detections":
            asked = {"min_score": detections.min_score, "min_area": detections.min_area}
            return instances.split_by_detections(semantic, objects, things, max_iou=detections.max_iou, **asked)
        keep = instances.things_by_votes if method == "votecut" else instances.things_by_area
        return keep(objects, semantic, things)
    limits |= {"grad_threshold": settings.grad_threshold, "sigma": settings.sigma}
    if method == "watershed":
        return instances.watershed_by_depth(semantic, shape, things, **limits)
    return instances.split_by_depth(semantic, shape, things, dilation=settings.dilation, **limits)


def open_detections(settings: DetectionsSettings, image_ids: frozenset[str]) -> Detections:
    """The files of the recipe as one set of detections for images with these ids. Raises `InputError`."""
    parts = [read_detections(Path(file).expanduser(), image_ids, names=settings.names) for file in settings.files]
    return parts[0] if len(parts) == 1 else merged(parts, max_iou=settings.max_iou)


def detections_digest(settings: DetectionsSettings) -> str:
    """Digest that follows the content of the files and not where they lie. Raises `InputError`."""
    named = [settings.names] if settings.names else []
    return digest_of([_digest(Path(file).expanduser()) for file in (*settings.files, *named)])


def _digest(path: Path) -> str | list[tuple[str, str]]:
    if path.is_dir():
        return [(str(p.relative_to(path)), DIGESTS.digest(p)) for p in sorted(path.rglob("*")) if p.is_file()]
    if not path.exists():
        raise InputError(f"{path}: no such file or folder of detections.")
    return DIGESTS.digest(path)
