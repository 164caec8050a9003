"""The report's tables, measured: which component contributes what, on any source with ground truth."""

from __future__ import annotations

from mbps_dataset.ablation.rendering import as_document, as_markdown
from mbps_dataset.ablation.results import ImpossibleRowError, RowResult
from mbps_dataset.ablation.rows import Detector, Row, Variant
from mbps_dataset.ablation.run import Ablation, run_ablation
from mbps_dataset.ablation.tables import TABLES, Table, choose_tables


__all__ = [
    "TABLES",
    "Ablation",
    "Detector",
    "ImpossibleRowError",
    "Row",
    "RowResult",
    "Table",
    "Variant",
    "as_document",
    "as_markdown",
    "choose_tables",
    "run_ablation",
]
