"""The folder of the Space is the module that the package ships."""

from __future__ import annotations

from pathlib import Path

import pytest


evaluate = pytest.importorskip("evaluate")

FOLDER = str(Path(__file__).parents[2] / "eval" / "hungarian_pq")


def test_the_folder_loads_the_metric_of_the_package(evaluate_cache: str) -> None:
    from mbps_dataset.scoring.hungarian_pq import HungarianPQ

    metric = evaluate.load(FOLDER, cache_dir=evaluate_cache)
    assert type(metric) is HungarianPQ and metric.name == "hungarian_pq"
