"""CAUSE-TR (Kim et al., 2023): backbone tokens to codes, codes to pseudo-classes."""

from mbps_dataset.models.cause.head import SegmentTR
from mbps_dataset.models.cause.probe import ClusterProbe
from mbps_dataset.models.cause.segmenter import CauseSegmenter


__all__ = ["CauseSegmenter", "ClusterProbe", "SegmentTR"]
