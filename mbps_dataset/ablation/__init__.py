"""The report's tables and those of CUPS, measured: which component contributes what, on any source with ground truth."""

from __future__ import annotations

from mbps_dataset.ablation.cups_tables import CUPS_TABLES, wants_cups
from mbps_dataset.ablation.cups_tables import DISTANCES as CUPS_DISTANCES
from mbps_dataset.ablation.rendering import as_document, as_markdown
from mbps_dataset.ablation.results import ImpossibleRowError, RowResult
from mbps_dataset.ablation.rows import Detector, Row, Table, Variant
from mbps_dataset.ablation.run import Ablation, run_ablation
from mbps_dataset.ablation.tables import TABLES, choose_tables


__all__ = [
    "CUPS_DISTANCES",
    "CUPS_TABLES",
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
    "wants_cups",
]
