"""The check of every row, and the mean over trials."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from mbps_dataset import taxonomy
from mbps_dataset.ablation.results import ImpossibleRowError, Measurement, check, row_result
from mbps_dataset.ablation.rows import Row
from mbps_dataset.metrics import PanopticQuality, PanopticResult


def measured(seed: int, classes: int = 19) -> PanopticResult:
    """A result on random maps of the first `classes` classes."""
    draw = np.random.default_rng(seed)
    metric = PanopticQuality(taxonomy.THINGS_19, taxonomy.STUFF_19, convention="report", report_hw=None)
    true = np.kron(draw.integers(0, classes, (8, 8)), np.ones((9, 9), int))
    pred = np.where(draw.random(true.shape) < 0.8, true, draw.integers(0, classes, true.shape))
    metric.update(pred, true + 1, true, true + 1)
    return metric.compute()


@pytest.mark.parametrize("classes", [19, 15, 11, 5, 1])
def test_what_the_metric_computes_passes(classes):
    for seed in range(5):
        check("row", measured(seed, classes))


def test_a_row_that_cannot_be_is_an_error():
    result = measured(0)
    wrong = replace(result, pq=result.pq + 0.005)
    with pytest.raises(ImpossibleRowError, match="No CRF: error: PQ .* is not the mean of its parts"):
        check("No CRF", wrong)
    with pytest.raises(ImpossibleRowError):
        row_result(Row("No CRF"), [measurement(wrong)])


def measurement(result: PanopticResult, **changes: float) -> Measurement:
    return Measurement(**({"result": result, "miou": 0.5, "instances": 2.0, "things": 6, "right_side": 15,
                           "classes": 19} | changes))  # fmt: skip


def test_trials_are_averaged():
    results = [measured(seed) for seed in range(3)]
    row = Row("random", trials=((),) * 3, note="mean of 3")
    found = row_result(row, [measurement(result, things=things) for result, things in zip(results, (7, 8, 9))])
    assert found.values["pq"] == pytest.approx(np.mean([result.pq for result in results]))
    assert found.values["things"] == 8 and found.trials == 3 and not found.per_class


def test_changes_are_drawn_image_by_image():
    noise = np.random.default_rng(0).normal(size=500) / 10  # of the images, the same for both rows
    first = measurement(measured(0), resampled={"pq": 0.3 + noise, "miou": 0.4 + noise})
    better = measurement(measured(1), resampled={"pq": 0.31 + noise, "miou": 0.39 + noise})
    found = row_result(Row("better"), [better], [first]).intervals
    assert found["delta_pq"] == pytest.approx((0.01, 0.01)) and found["delta_miou"] == pytest.approx((-0.01, -0.01))
    assert found["pq"][0] < 0.2 < 0.42 < found["pq"][1]
    assert row_result(Row("itself"), [first], [first]).intervals["delta_pq"] == (0.0, 0.0)
    assert set(row_result(Row("alone"), [first]).intervals) == {"pq", "miou"}
    assert row_result(Row("none drawn"), [measurement(measured(0))], [first]).intervals == {}


def test_a_result_is_json_ready():
    nothing = PanopticQuality(taxonomy.THINGS_19, taxonomy.STUFF_19, convention="report").compute()
    document = row_result(Row("empty"), [measurement(nothing, miou=math.nan)]).to_dict()
    assert document["pq"] is None and document["miou"] is None
    document = row_result(Row("one", ("crf.enabled=false",)), [measurement(measured(0))]).to_dict()
    assert document["settings"] == ["crf.enabled=false"]
    assert document["per_class"]["car"].keys() == {"tp", "fp", "fn"}
