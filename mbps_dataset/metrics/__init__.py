"""Scores of segmentations against ground truth: numpy and scipy only, no files, every convention named.

Start with `PanopticQuality`; each file of this folder opens with what it decides and whose rule that is.
"""

from __future__ import annotations

from mbps_dataset.metrics.matching import MATCHINGS, Assignment, hungarian, hungarian_split, majority
from mbps_dataset.metrics.overlap import OverlapTable, concatenate, overlap_table
from mbps_dataset.metrics.panoptic_quality import PanopticQuality
from mbps_dataset.metrics.result import SCALARS, PanopticResult
from mbps_dataset.metrics.segment_matching import CONVENTIONS


__all__ = [
    "CONVENTIONS",
    "MATCHINGS",
    "SCALARS",
    "Assignment",
    "OverlapTable",
    "PanopticQuality",
    "PanopticResult",
    "concatenate",
    "hungarian",
    "hungarian_split",
    "majority",
    "overlap_table",
]
