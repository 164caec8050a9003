"""Every example in a docstring runs and prints what it says."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

import mbps_dataset


ROOT = Path(mbps_dataset.__file__).parent
MODULES = sorted(
    ".".join(path.relative_to(ROOT.parent).with_suffix("").parts)
    for path in ROOT.rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)
FIXED = {
    "mbps_dataset.records": "decode",
    "mbps_dataset.metrics.panoptic_quality": "PanopticQuality",
    "mbps_dataset.stages.crf": "crf",
    "mbps_dataset.stages.fusion": "fuse",
    "mbps_dataset.stages.instances.depth_gradient": "split_by_depth",
    "mbps_dataset.stages.saliency": "otsu_threshold",
}
"""Where the names that others write against live, and what of them must show an example."""
LOADS_METRICS = {"mbps_dataset.scoring.hungarian_pq"}
"""Modules whose examples need `evaluate`, and would leave files in its cache."""


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name, request, monkeypatch, tmp_path):
    if name in LOADS_METRICS:
        request.getfixturevalue("evaluate_cache")
        monkeypatch.setattr("evaluate.config.HF_METRICS_CACHE", tmp_path / "metrics")
    outcome = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert outcome.attempted > 0 and outcome.failed == 0


@pytest.mark.parametrize("name", FIXED)
def test_fixed_names_have_an_example(name):
    found = doctest.DocTestFinder().find(importlib.import_module(name))
    assert any(test.name.endswith(FIXED[name]) and test.examples for test in found)
