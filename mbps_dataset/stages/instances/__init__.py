"""Instances: things of one image as pixel sets with class and score. Every method returns `Instances`."""

from __future__ import annotations

from mbps_dataset.stages.instances.depth_gradient import split_by_depth
from mbps_dataset.stages.instances.merge import merge_by_depth
from mbps_dataset.stages.instances.types import UNKNOWN_CLASS, Instances


__all__ = ["UNKNOWN_CLASS", "Instances", "merge_by_depth", "split_by_depth"]
