"""Scores of segmentations against ground truth: numpy and scipy only, no files, every convention named.

Start with `PanopticQuality`; each file of this folder opens with what it decides and whose rule that is.
"""

from __future__ import annotations

from importlib.resources import files

from mbps_dataset.metrics.detection import DetectionResult, MaskAveragePrecision
from mbps_dataset.metrics.distance import PanopticQualityByDistance
from mbps_dataset.metrics.lint import Finding, PublishedRow, lint_rows, rows_from_json, rows_from_markdown
from mbps_dataset.metrics.matching import MATCHINGS, Assignment, hungarian, hungarian_split, majority
from mbps_dataset.metrics.overlap import OverlapTable, concatenate, overlap_table
from mbps_dataset.metrics.panoptic_quality import PanopticQuality
from mbps_dataset.metrics.per_image import ImageQuality
from mbps_dataset.metrics.protocols import PROTOCOLS, Protocol
from mbps_dataset.metrics.rendering import (
    bar_chart_svg,
    format_averages,
    format_bars,
    format_distances,
    format_masks,
    format_table,
)
from mbps_dataset.metrics.report_protocol import MODES, ReportProtocol
from mbps_dataset.metrics.result import SCALARS, PanopticResult
from mbps_dataset.metrics.segment_matching import CONVENTIONS, REPORT_HW


__all__ = [
    "CONVENTIONS",
    "MATCHINGS",
    "MODES",
    "PROTOCOLS",
    "REPORT_HW",
    "SCALARS",
    "Assignment",
    "DetectionResult",
    "Finding",
    "ImageQuality",
    "MaskAveragePrecision",
    "OverlapTable",
    "PanopticQuality",
    "PanopticQualityByDistance",
    "PanopticResult",
    "Protocol",
    "PublishedRow",
    "ReportProtocol",
    "bar_chart_svg",
    "concatenate",
    "evaluate_module",
    "format_averages",
    "format_bars",
    "format_distances",
    "format_masks",
    "format_table",
    "hungarian",
    "hungarian_split",
    "lint_rows",
    "majority",
    "overlap_table",
    "rows_from_json",
    "rows_from_markdown",
]


def evaluate_module() -> str:
    """Path of the metric for Hugging Face `evaluate`, in a checkout and in a wheel: ``evaluate.load(evaluate_module())``."""
    return str(files("mbps_dataset") / "scoring" / "hungarian_pq.py")
