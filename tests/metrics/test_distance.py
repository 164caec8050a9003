from __future__ import annotations

import math

import numpy as np
import pytest

from mbps_dataset.errors import InputError
from mbps_dataset.metrics import PanopticQuality, PanopticQualityByDistance
from tests.metrics.scenes import STUFF, THINGS, VOID, random_scene


def test_a_range_is_the_score_of_its_pixels() -> None:
    scene = random_scene(0)
    depth = np.linspace(0, 50, scene["true_semantic"].size).reshape(scene["true_semantic"].shape)
    by_distance = PanopticQualityByDistance((1, 20, 40), things=THINGS, stuff=STUFF)
    by_distance.update(**scene, depth=depth, image_id="a")
    results = by_distance.compute()
    assert set(results) == {None, (1.0, 20.0), (20.0, 40.0)}
    for limits, result in results.items():
        metric, true = PanopticQuality(THINGS, STUFF), scene["true_semantic"]
        if limits:
            true = np.where((depth >= limits[0]) & (depth < limits[1]), true, VOID)
        metric.update(**scene | {"true_semantic": true})
        assert result.pq == metric.compute().pq and result.miou == metric.compute().miou


def test_every_range_uses_the_names_of_the_whole_set() -> None:
    by_distance = PanopticQualityByDistance((0, 10, 20), things=(1,), stuff=(0,), matching="hungarian")
    depth = np.array([[5.0, 5.0, 5.0, 15.0, 15.0]])
    by_distance.update([[7, 7, 7, 8, 7]], None, [[0, 0, 0, 1, 1]], None, depth)
    far = by_distance.compute()[10.0, 20.0]
    assert far.assignment == {7: 0, 8: 1} and far.matching == "given"
    assert far.accuracy == 0.5


def test_a_range_of_every_pixel_is_the_whole_also_where_things_and_stuff_are_matched_apart() -> None:
    split = {"pseudo_things": (7,), "pseudo_stuff": (8,), "matching": "hungarian_split"}
    by_distance = PanopticQualityByDistance((0, 10), things=(1,), stuff=(0,), **split)
    by_distance.update([[7, 7, 7, 8]], None, [[0, 0, 0, 1]], None, np.full((1, 4), 5.0))
    results = by_distance.compute()
    assert results[0.0, 10.0].assignment == {7: 1, 8: 0} and results[0.0, 10.0].pq == results[None].pq == 0
    assert results[0.0, 10.0].miou == results[None].miou == 1.0


def test_pixels_without_depth_are_in_no_range() -> None:
    by_distance = PanopticQualityByDistance((0, 10, math.inf), things=(), stuff=(0,))
    by_distance.update([[0, 0, 0]], None, [[0, 0, 0]], None, np.array([[0.0, np.nan, np.inf]]))
    results = by_distance.compute()
    assert results[None].pq == 1.0 and math.isnan(results[0.0, 10.0].pq) and math.isnan(results[10.0, math.inf].pq)


def test_the_last_range_may_have_no_end() -> None:
    by_distance = PanopticQualityByDistance((0, 10, math.inf), things=(), stuff=(0, 1))
    by_distance.update([[0, 1, 1]], None, [[0, 0, 1]], None, np.array([[9.9, 10.0, 1e6]]))
    results = by_distance.compute()
    assert (results[0.0, 10.0].miou, results[10.0, math.inf].miou) == (1.0, 0.25)


def test_errors() -> None:
    with pytest.raises(ValueError, match="two or more ascending distances"):
        PanopticQualityByDistance((5, 5), things=(), stuff=(0,))
    with pytest.raises(ValueError, match="Convention 'report' has no rule for void"):
        PanopticQualityByDistance((0, 5), things=(), stuff=(0,), convention="report")
    by_distance = PanopticQualityByDistance((0, 5), things=(), stuff=(0,))
    with pytest.raises(InputError, match=r"image 'a': expected `depth` and `true_semantic` to share \(H, W\)"):
        by_distance.update([[0, 0]], None, [[0, 0]], None, np.zeros((2, 2)), image_id="a")
