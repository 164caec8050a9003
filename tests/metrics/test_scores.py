from __future__ import annotations

import math

import pytest

from mbps_dataset.metrics.scores import ClassScore, average


def test_quality_of_one_class_is_the_product() -> None:
    score = ClassScore(tp=3, fp=1, fn=2, iou_sum=2.4)
    assert score.sq == pytest.approx(0.8)
    assert score.rq == pytest.approx(3 / 4.5)
    assert score.pq == pytest.approx(score.sq * score.rq)


def test_three_averages_of_the_same_counts() -> None:
    scores = {0: ClassScore(8, 0, 0, 7.2), 1: ClassScore(2, 2, 2, 1.2), 2: ClassScore(0, 1, 3, 0.0), 3: ClassScore()}
    over_classes, pooled = average(scores), average(scores, pooled=True)
    assert over_classes.classes == 3
    assert over_classes.sq == pytest.approx((0.9 + 0.6 + 0) / 3)
    assert over_classes.sq_matched == pytest.approx(0.75)
    assert over_classes.rq == pytest.approx((1 + 0.5 + 0) / 3)
    assert pooled.sq == over_classes.sq_pooled == pytest.approx(8.4 / 10)
    assert pooled.rq == over_classes.rq_pooled == pytest.approx(10 / (10 + 1.5 + 2.5))
    assert pooled.pq == over_classes.pq == pytest.approx((0.9 + 0.3 + 0) / 3)


def test_the_report_s_printed_numbers_are_pooled() -> None:
    """SQ 74.28 and RQ 31.74 follow from the published counts per class only when pooled; PQ 23.20 is a class mean."""
    published = {  # class: TP, FP, FN, PQ in percent
        "road": (481, 19, 2, 77.23), "sidewalk": (295, 186, 169, 44.59), "building": (418, 80, 73, 61.82),
        "wall": (28, 227, 173, 8.38), "fence": (0, 0, 189, 0), "pole": (0, 0, 489, 0), "light": (0, 0, 260, 0),
        "sign": (0, 0, 469, 0), "vegetation": (428, 52, 58, 68.76), "terrain": (65, 234, 166, 15.87),
        "sky": (381, 61, 56, 70.73), "person": (176, 342, 3200, 5.97), "rider": (0, 0, 541, 0),
        "car": (758, 925, 3877, 17.08), "truck": (30, 15, 63, 34.64), "bus": (35, 46, 63, 30.76),
        "train": (0, 0, 23, 0), "motorcycle": (0, 0, 149, 0), "bicycle": (61, 267, 1102, 4.93),
    }  # fmt: skip
    scores = {
        number: ClassScore(tp, fp, fn, pq / 100 * (tp + fp / 2 + fn / 2))
        for number, (tp, fp, fn, pq) in enumerate(published.values())
    }
    result = average(scores)
    assert 100 * result.pq == pytest.approx(23.20, abs=0.01)
    assert 100 * result.sq_pooled == pytest.approx(74.28, abs=0.05)
    assert 100 * result.rq_pooled == pytest.approx(31.74, abs=0.05)
    assert 100 * result.sq < 50


def test_nothing_seen_is_undefined() -> None:
    assert math.isnan(ClassScore().pq) and math.isnan(average({0: ClassScore()}).pq)
    only_missed = average({0: ClassScore(fn=2)})
    assert only_missed.pq == 0.0 and math.isnan(only_missed.sq_matched) and math.isnan(only_missed.sq_pooled)
