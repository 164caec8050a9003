from __future__ import annotations

import math

import numpy as np
import pytest

from mbps_dataset.metrics import PanopticQuality
from mbps_dataset.metrics.bootstrap import bootstrap_intervals
from mbps_dataset.metrics.overlap import concatenate
from mbps_dataset.metrics.per_image import class_means, counts_per_image
from mbps_dataset.metrics.segment_matching import match_segments
from tests.metrics.scenes import STUFF, THINGS, random_scene


def metric_of(images: int, seed: int = 0) -> PanopticQuality:
    metric = PanopticQuality(THINGS, STUFF)
    for k in range(images):
        metric.update(**random_scene(seed + k))
    return metric


def test_intervals_hold_the_value_and_shrink_with_images() -> None:
    widths = []
    for images in (8, 80):
        result = metric_of(images).compute(bootstrap=300)
        for name, (low, high) in result.intervals.items():
            assert low <= getattr(result, name) <= high, name
        widths.append(result.intervals["pq"][1] - result.intervals["pq"][0])
    assert widths[1] < 0.6 * widths[0]
    assert set(result.intervals) == {
        *(f"{name}{suffix}" for name in ("pq", "sq", "rq") for suffix in ("", "_things", "_stuff")),
        *("miou", "accuracy"),
    }


def test_resampling_equals_scoring_the_resampled_images() -> None:
    """With weights that name each image exactly, counts per image must add up to the metric of those images."""
    metric, images = metric_of(4), [0, 0, 2, 3]
    drawn = PanopticQuality(THINGS, STUFF)
    for k in images:
        drawn.update(**random_scene(k))
    matches = match_segments(concatenate(metric._tables), {c: c for c in (*STUFF, *THINGS)}, metric.settings.rules())
    weights = np.bincount(images, minlength=4)[None]
    pq, sq, rq = class_means(*(weights @ counts for counts in counts_per_image(matches, 4, metric.settings.class_ids)))
    result = drawn.compute()
    assert (pq[0], sq[0], rq[0]) == pytest.approx((result.pq, result.sq, result.rq))


def test_same_seed_same_interval_and_none_without_asking() -> None:
    metric = metric_of(5)
    assert metric.compute(bootstrap=50, seed=3).intervals == metric.compute(bootstrap=50, seed=3).intervals
    assert metric.compute(bootstrap=50, seed=3).intervals != metric.compute(bootstrap=50, seed=4).intervals
    assert metric.compute().intervals == {}


def test_draws_of_two_results_are_of_the_same_images() -> None:
    metric, better = metric_of(6), PanopticQuality(THINGS, STUFF)
    for k in range(6):
        scene = random_scene(k)
        wanted = k != 2  # all but one image are predicted as they are
        better.update(
            **scene | {"pred_semantic": scene["true_semantic"], "pred_instance": scene["true_instance"]}
            if wanted
            else scene
        )
    draws, of_better = metric.resampled(40, seed=5), better.resampled(40, seed=5)
    low, high = bootstrap_intervals({"pq": draws["pq"]})["pq"]
    assert (low, high) == metric.compute(bootstrap=40, seed=5).intervals["pq"]
    assert (of_better["pq"] >= draws["pq"]).all() and draws["pq"].shape == (40,)
    assert bootstrap_intervals({"pq": draws["pq"] - metric.resampled(40, seed=5)["pq"]})["pq"] == (0.0, 0.0)
    assert metric.resampled(0) == {}


def test_undefined_numbers_have_undefined_intervals() -> None:
    metric = PanopticQuality(THINGS, STUFF)
    metric.update(np.zeros((4, 4), int), None, np.zeros((4, 4), int), None)
    intervals = metric.compute(bootstrap=20).intervals
    assert intervals["pq"] == (1.0, 1.0) and all(map(math.isnan, intervals["pq_things"]))


@pytest.mark.parametrize("wrong", [{"bootstrap": -1}, {"bootstrap": 5, "confidence": 1.0}])
def test_impossible_requests(wrong: dict) -> None:
    with pytest.raises(ValueError, match="Expected resamples >= 0 and 0 < confidence < 1"):
        metric_of(1).compute(**wrong)
