from __future__ import annotations

import math

import numpy as np
import pytest

from mbps_dataset.metrics import PanopticQuality
from tests.metrics.scenes import STUFF, THINGS, random_scene


def test_each_image_scores_as_it_would_alone() -> None:
    whole = PanopticQuality(THINGS, STUFF, convention="cups")
    for k in range(3):
        whole.update(**random_scene(k), image_id=f"image {k}")
    for k, quality in enumerate(whole.per_image()):
        alone = PanopticQuality(THINGS, STUFF, convention="cups")
        alone.update(**random_scene(k))
        result = alone.compute()
        assert quality.image_id == f"image {k}"
        assert (quality.pq, quality.pq_things, quality.pq_stuff) == pytest.approx(
            (result.pq, result.pq_things, result.pq_stuff)
        )
        assert quality.tp == sum(row["tp"] for row in result.per_class.values())
        assert quality.fp == sum(row["fp"] for row in result.per_class.values())
        assert quality.fn == sum(row["fn"] for row in result.per_class.values())


def test_the_whole_set_names_the_pseudo_classes() -> None:
    metric = PanopticQuality((1,), (0,), matching="hungarian")
    metric.update(np.array([[7, 7, 7, 8]]), None, np.array([[0, 0, 0, 1]]), None, image_id="a")
    metric.update(np.array([[7, 7]]), None, np.array([[1, 1]]), None, image_id="b")
    first, second = metric.per_image()
    assert (first.pq, second.pq, second.fp, second.fn) == (1.0, 0.0, 1, 1)
    assert metric.per_image(assignment={7: 1})[1].pq == 1.0


def test_an_empty_image_is_undefined() -> None:
    metric = PanopticQuality((1,), (0,))
    metric.update(np.full((2, 2), 255), None, np.full((2, 2), 255), None)
    assert math.isnan(metric.per_image()[0].pq)
