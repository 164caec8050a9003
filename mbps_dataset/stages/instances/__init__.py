"""Instances: things of one image as pixel sets with class and score.

Every method has the same shape, ``method(semantic, evidence, things, *, settings) -> Instances``; the evidence is depth,
patch features or somebody's detections.
"""

from __future__ import annotations

from mbps_dataset.stages.instances.class_vote import vote_classes
from mbps_dataset.stages.instances.connected_components import connected_components, with_leftover_components
from mbps_dataset.stages.instances.depth_gradient import split_by_depth
from mbps_dataset.stages.instances.imported import split_by_detections
from mbps_dataset.stages.instances.maskcut import cut_objects, things_by_area
from mbps_dataset.stages.instances.merge import merge_by_depth
from mbps_dataset.stages.instances.nms import mask_iou, merge_detections, suppress_overlaps
from mbps_dataset.stages.instances.types import UNKNOWN_CLASS, Instances
from mbps_dataset.stages.instances.votecut import agreed_objects, things_by_votes
from mbps_dataset.stages.instances.watershed import watershed_by_depth


__all__ = [
    "UNKNOWN_CLASS",
    "Instances",
    "agreed_objects",
    "connected_components",
    "cut_objects",
    "mask_iou",
    "merge_by_depth",
    "merge_detections",
    "split_by_depth",
    "split_by_detections",
    "suppress_overlaps",
    "things_by_area",
    "things_by_votes",
    "vote_classes",
    "watershed_by_depth",
    "with_leftover_components",
]
