"""The measures of demo depth, on cases whose answer is known; and the shipped weights beat a constant clearly."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from mbps_dataset.models.spidepth import SPIdepth


ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "builder_scripts" / "measure_demo_depth.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("measure_demo_depth", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_scale_does_not_count_and_only_measured_pixels_do(script: ModuleType) -> None:
    true = np.array([[0.0, 0.5, 2.0, 4.0, 8.0, 90.0]])
    scores = script.DepthScores()
    scores.add(0.01 * true + (true < 1) * 7, true)
    assert scores.absolute_relative == pytest.approx([0.0])
    assert scores.within_quarter == [1.0]
    scores.add(np.ones_like(true), true)
    assert scores.absolute_relative[1] == pytest.approx((1.0 + 0.0 + 0.5) / 3)
    assert scores.within_quarter[1] == pytest.approx(1 / 3)


def test_near_sky_is_measured_in_metres(script: ModuleType) -> None:
    true = np.array([[0.0, 0.0, 0.0, 0.0], [10.0, 10.0, 10.0, 10.0]])
    predicted = np.array([[0.1, 0.3, 0.5, 0.5], [0.1, 0.1, 0.1, 0.1]])  # a hundredth: 10, 30, 50 and 50 m
    assert script.near_sky(predicted, true, true == 0) == 0.5
    assert np.isnan(script.near_sky(predicted, true, np.zeros_like(true, bool)))


def test_least_relative_error_is_the_weighted_median(script: ModuleType) -> None:
    depths = np.random.default_rng(0).uniform(1, 80, 501)
    best = script.least_relative_error(depths)
    errors = [np.mean(np.abs(c - depths) / depths) for c in np.linspace(1, 80, 400)]
    assert np.mean(np.abs(best - depths) / depths) <= min(errors) + 1e-9
    assert best < np.median(depths)


def test_borders_between_instances_of_one_class(script: ModuleType) -> None:
    labels = np.array([[26, 26, 26, 7], [26, 26, 24, 7]], np.uint8)
    instances = np.array([[26000, 26001, 26001, 7], [26000, 26001, 24000, 7]], np.int32)
    assert script.same_class_borders(labels, instances).tolist() == [[True, True, False, False]] * 2


def test_recall_counts_edges_within_reach(script: ModuleType) -> None:
    depth = np.ones((40, 60))
    depth[:, 30:] = 2.0
    borders = np.zeros((40, 60), bool)
    borders[:, 31] = borders[:, 10] = True
    scores = script.BorderScores()
    scores.add(depth, borders, 0.1)
    assert scores.found == 40 and scores.borders == 80
    assert 0 < scores.edges < 0.2 * scores.pixels


def test_shipped_weights_know_depth_of_unseen_scenes(script: ModuleType) -> None:
    network = SPIdepth.from_pretrained(ROOT / "mbps_dataset" / "weights" / "spidepth")
    learned, constant = script.DepthScores(), script.DepthScores()
    for view in script._scenes(script.UNSEEN_SEEDS[:3]):
        truth = view.depth.astype(float)
        learned.add(script.predict(network, view.image), truth)
        constant.add(np.ones_like(truth), truth)
    assert np.mean(learned.absolute_relative) < 0.6 * np.mean(constant.absolute_relative)
    assert np.mean(learned.within_quarter) > 0.6
