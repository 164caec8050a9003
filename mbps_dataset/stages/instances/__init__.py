"""Instances: things of one image as pixel sets with class and score. Every method returns `Instances`."""

from __future__ import annotations

from mbps_dataset.stages.instances.class_vote import vote_classes
from mbps_dataset.stages.instances.connected_components import connected_components, with_leftover_components
from mbps_dataset.stages.instances.depth_gradient import split_by_depth
from mbps_dataset.stages.instances.merge import merge_by_depth
from mbps_dataset.stages.instances.types import UNKNOWN_CLASS, Instances
from mbps_dataset.stages.instances.watershed import watershed_by_depth


__all__ = [
    "UNKNOWN_CLASS",
    "Instances",
    "connected_components",
    "merge_by_depth",
    "split_by_depth",
    "vote_classes",
    "watershed_by_depth",
    "with_leftover_components",
]
