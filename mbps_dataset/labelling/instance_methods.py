"""From a recipe's settings to instances: which method of `stages.instances` runs, on what, and what comes behind it.

Methods differ in what they look at: depth, connected components at nothing but the classes, cuts and detections at
objects found without any class, and so does motion. Such objects depend on the picture, or stereo video, alone, so they
are kept in the store and here they only get their classes. Order (ours): method, then merging, then the fallback, which no merging touches.

A method is an entry of `METHODS`; one that cuts patch features has one in `CUTS` too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mbps_dataset.arrays import RGBImage, SemanticMap
from mbps_dataset.recipe import Recipe
from mbps_dataset.stage_settings import CutsSettings
from mbps_dataset.stages import instances
from mbps_dataset.stages.instances import Instances
from mbps_dataset.stages.instances.patch_features import network_input, patch_features
from mbps_dataset.stages.motion.alignment import cut_by_class


@dataclass(frozen=True)
class Evidence:
    """What instances of one image are made from, all of one size.

    `semantic` [H, W] class ids; `shape` float32 [H, W] what depth methods cut, in [0, 1]; `things` the thing classes;
    `objects` masks of unknown class, for methods that need them.
    """

    recipe: Recipe
    semantic: SemanticMap
    shape: NDArray[np.floating]
    things: tuple[int, ...]
    objects: Instances | None

    def given_objects(self) -> Instances:
        """The objects. Raises `ValueError` if there are none to give classes to."""
        if self.objects is None:
            raise ValueError(
                f"The instance method {self.recipe.instances.method} needs objects, but got none; cut or read them first."
            )
        return self.objects


def _by_depth_gradient(given: Evidence) -> Instances:
    return _at_depth_edges(partial(instances.split_by_depth, dilation=given.recipe.instances.dilation), given)


def _by_watershed(given: Evidence) -> Instances:
    return _at_depth_edges(instances.watershed_by_depth, given)


def _at_depth_edges(method: Callable[..., Instances], given: Evidence) -> Instances:
    """What both methods that look for depth edges are told."""
    settings = given.recipe.instances
    return method(
        given.semantic,
        given.shape,
        given.things,
        grad_threshold=settings.grad_threshold,
        min_area=settings.min_area,
        sigma=settings.sigma,
    )


def _by_components(given: Evidence) -> Instances:
    return instances.connected_components(given.semantic, None, given.things, min_area=given.recipe.instances.min_area)


def _by_area(given: Evidence) -> Instances:
    return instances.things_by_area(given.given_objects(), given.semantic, given.things)


def _by_votes(given: Evidence) -> Instances:
    return instances.things_by_votes(given.given_objects(), given.semantic, given.things)


def _by_detections(given: Evidence) -> Instances:
    settings = given.recipe.detections
    return instances.split_by_detections(
        given.semantic,
        given.given_objects(),
        given.things,
        min_score=settings.min_score,
        min_area=settings.min_area,
        max_iou=settings.max_iou,
    )


def _by_motion(given: Evidence) -> Instances:
    if not given.recipe.fusion.align_objects:
        return cut_by_class(given.given_objects(), given.semantic, given.things)
    voted = instances.vote_classes(given.given_objects(), given.semantic)
    return voted.select(np.isin(voted.class_ids, given.things))


METHODS: Mapping[str, Callable[[Evidence], Instances]] = MappingProxyType(
    {
        "depth-gradient": _by_depth_gradient,
        "watershed": _by_watershed,
        "connected-components": _by_components,
        "maskcut": _by_area,
        "tokencut": _by_area,
        "votecut": _by_votes,
        "detections": _by_detections,
        "motion": _by_motion,
    }
)


def find(given: Evidence) -> Instances:
    """Instances of the thing classes, merged and with the fallback behind them if the settings say so."""
    settings = given.recipe.instances
    found = METHODS[settings.method](given)
    if settings.merge:
        found = instances.merge_by_depth(
            found,
            given.semantic,
            given.shape,
            given.things,
            max_depth_gap=settings.max_depth_gap,
            min_area=settings.merge_min_area,
        )
    if settings.fallback == "connected-components":
        found = instances.with_leftover_components(
            found, given.semantic, given.things, min_area=settings.fallback_min_area
        )
    return found


def _maskcut(settings: CutsSettings, image: RGBImage, features: Sequence[NDArray[Any]], crf: bool) -> Instances:
    return instances.cut_objects(
        features[0],
        image.shape[:2],
        image=image if crf else None,
        threshold=0.15 if settings.threshold is None else settings.threshold,
        masks=settings.masks or 3,
        tiles=(settings.tiles[0], settings.tiles[1]),
    )


def _tokencut(settings: CutsSettings, image: RGBImage, features: Sequence[NDArray[Any]], crf: bool) -> Instances:
    return instances.cut_objects(
        features[0],
        image.shape[:2],
        image=image if crf else None,
        threshold=0.2 if settings.threshold is None else settings.threshold,
        masks=1,
        corner_rule=False,
    )


def _votecut(settings: CutsSettings, image: RGBImage, features: Sequence[NDArray[Any]], crf: bool) -> Instances:
    return instances.agreed_objects(
        features,
        image.shape[:2],
        image=image if crf else None,
        threshold=0.15 if settings.threshold is None else settings.threshold,
        max_masks=settings.masks or 10,
    )


CUTS: Mapping[str, Callable[[CutsSettings, RGBImage, Sequence[NDArray[Any]], bool], Instances]] = MappingProxyType(
    {"maskcut": _maskcut, "tokencut": _tokencut, "votecut": _votecut}
)
"""Methods that cut patch features; where threshold and number of masks are not set, the published ones are taken."""


def needs_objects(method: str) -> bool:
    """Whether a method gives classes to objects that were found without a class map."""
    return method in CUTS or method in ("detections", "motion")


def cut(method: str, settings: CutsSettings, image: RGBImage, networks: Sequence[Any], device: str) -> Instances:
    """Objects of `image` uint8 [H, W, 3] by normalised cuts of the features of `networks`, classes unknown.

    Their masks have the size that the networks see (480 x 480 as published); enlarge them by nearest neighbour.
    """
    features = []
    for network in networks:
        pixels = network_input(
            image, network.config.patch_size, size=settings.size, keep_aspect=settings.keep_aspect
        ).to(device)
        features.append(patch_features(network, pixels, kind=settings.features)[0])
    return CUTS[method](settings, _squeezed(image, settings), features, settings.crf)


def _squeezed(image: RGBImage, settings: CutsSettings) -> RGBImage:
    """The image at the size at which masks are refined."""
    height, width = image.shape[:2]
    scale = settings.size / min(height, width)
    size = (round(width * scale), round(height * scale)) if settings.keep_aspect else (settings.size, settings.size)
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))
