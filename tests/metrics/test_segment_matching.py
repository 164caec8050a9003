"""Conventions on one-image cases where the published evaluators disagree."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from mbps_dataset.metrics import PanopticQuality
from tests.metrics import golden


FOLDER = golden.FOLDER / "20_micro_cases"
EXPECTED = json.loads((FOLDER / "expected.json").read_text())
META = json.loads((FOLDER / "meta.json").read_text())


def evaluate(case: str, **settings):
    with np.load(FOLDER / "inputs.npz") as arrays:
        maps = {key.split("/")[1]: arrays[key] for key in arrays.files if key.split("/")[0] == case}
    metric = PanopticQuality(META["things"], META["stuffs"], report_hw=None, **settings)
    metric.update(
        maps["pred_sem"], maps["pred_inst"], maps["gt_sem"], maps["gt_inst"], true_crowd=maps.get("gt_crowd")
    )
    return metric.compute()


@pytest.mark.parametrize("case", META["cases"])
@pytest.mark.parametrize(
    ("evaluator", "settings", "tolerance"),
    [
        ("oracle_coco", {"convention": "coco", "crowds": "last"}, 1e-12),
        ("oracle_cups", {"convention": "cups"}, 1e-12),
        ("torchmetrics", {"convention": "cups"}, 1e-6),
        ("panopticapi", {"convention": "coco", "crowds": "last"}, 1e-12),
        ("monocular_ups", {"convention": "report"}, 1e-4),
    ],
)
def test_one_image_cases_by_vectors(case: str, evaluator: str, settings: dict, tolerance: float) -> None:
    expected = EXPECTED[case][evaluator]
    if evaluator == "panopticapi" and not EXPECTED[case]["stuff_merged_in_panopticapi_input"]:
        pytest.skip("panopticapi was given stuff in two segments here")
    result = evaluate(case, **settings)
    pq = math.nan if expected["pq"] is None else expected["pq"]
    assert result.pq == pytest.approx(pq, abs=tolerance, nan_ok=True)
    if evaluator == "monocular_ups":
        assert result.rq == pytest.approx(expected["rq_micro"], abs=tolerance)
    for kind in ("tp", "fp", "fn"):
        if kind in expected:
            assert [row[kind] for row in result.per_class.values()] == expected[kind]


def test_two_crowd_regions_of_a_class_all_forgive_unless_only_the_last_may() -> None:
    case = "d_two_group_regions_same_class"
    assert evaluate(case).pq == 1.0
    assert evaluate(case, crowds="last").pq == 0.5


def test_stuff_of_two_pseudo_classes_stays_apart_on_request() -> None:
    pred = np.repeat([[5, 6]], 10, axis=0)
    true = np.zeros((10, 2), int)
    settings = {"matching": "majority", "pseudo_stuff": (5, 6)}
    for merge_stuff, counts in ((True, (1, 0, 0)), (False, (0, 2, 1))):
        metric = PanopticQuality((1,), (0,), merge_stuff=merge_stuff, **settings)
        metric.update(pred, None, true, None)
        row = metric.compute().per_class[0]
        assert (row["tp"], row["fp"], row["fn"]) == counts


def test_stuff_segments_of_one_class_stay_apart_on_request_by_their_ids_on_both_sides() -> None:
    whole, halves = np.ones((4, 10), int), np.repeat([[1] * 5 + [2] * 5], 4, axis=0)
    road = np.zeros_like(whole)
    cases = {
        "pred": (halves, whole, (0, 2, 1)),
        "true": (whole, halves, (0, 1, 2)),
        "both": (halves, halves, (2, 0, 0)),
    }
    for name, (pred, true, counts) in cases.items():
        for merge_stuff, expected in ((True, (1, 0, 0)), (False, counts)):
            metric = PanopticQuality((1,), (0,), merge_stuff=merge_stuff)
            metric.update(road, pred, road, true)
            row = metric.compute().per_class[0]
            assert (row["tp"], row["fp"], row["fn"]) == expected, name


def test_report_drops_small_segments_and_resizes_as_pil_does() -> None:
    from PIL import Image

    true = np.zeros((1024, 2048), np.uint8)
    true[101, 401:461:2] = 1  # 30 pixels at odd rows and columns: 30 pixels after halving
    true[201, 401:411:2] = 2  # 5 pixels after halving: too small for a thing
    small = np.asarray(Image.fromarray(true).resize((1024, 512), Image.NEAREST))
    assert (small == 1).sum() == 30 and (small == 2).sum() == 5
    metric = PanopticQuality((1, 2), (0,), convention="report")
    metric.update(np.zeros_like(true), None, true, np.where(true > 0, 1, 0))
    result = metric.compute()
    assert (result.per_class[1]["fn"], result.per_class[2]["n"], result.per_class[0]["tp"]) == (1, 0, 1)
    assert result.per_class[0]["iou_sum"] == pytest.approx(1 - 35 / (512 * 1024))
    assert result.sq == result.sq_pooled and result.rq == result.rq_pooled
