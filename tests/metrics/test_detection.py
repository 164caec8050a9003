from __future__ import annotations

import json
import math

import numpy as np
import pytest

from mbps_dataset.errors import InputError
from mbps_dataset.metrics import MaskAveragePrecision
from tests.metrics import golden


EXPECTED = json.loads((golden.FOLDER / "22_class_agnostic_ap" / "expected.json").read_text())


@pytest.mark.parametrize("name", EXPECTED)
@pytest.mark.parametrize("processes", [1, 2])
def test_equals_cocoeval_by_vectors(name: str, processes: int) -> None:
    scene, expected = golden.load(name), EXPECTED[name]
    parts = [MaskAveragePrecision() for _ in range(processes)]
    for number, (image, scores) in enumerate(zip(scene.images, expected["scores_by_image_and_instance_id"])):
        is_thing = np.isin(image["pred_semantic"], scene.meta["pseudo_things"])
        truth = np.where(np.isin(image["true_semantic"], scene.meta["things"]), image["true_instance"], 0)
        scores = {int(k): value for k, value in scores.items()}
        parts[number * processes // len(scene.images)].update(
            np.where(is_thing, image["pred_instance"], 0), truth, scores
        )
    result = parts[0].compute() if processes == 1 else parts[0].merge(parts[1]).compute()
    names = {"AP": "ap", "AP50": "ap50", "AP75": "ap75", "AP_S": "ap_small", "AP_M": "ap_medium", "AP_L": "ap_large"}
    for theirs, ours in (names | {"AR100": "ar_100"}).items():
        assert np.nan_to_num(getattr(result, ours), nan=-1.0) == pytest.approx(expected["coco"][theirs], abs=1e-9)
    assert result.mask_precision == pytest.approx(expected["mask_precision_at_50"], abs=1e-12)
    assert (result.true_masks, result.pred_masks) == (expected["n_gt"], expected["n_pred"])


def test_masks_and_maps_give_the_same() -> None:
    pred, true = np.array([[0, 1, 1, 2], [0, 1, 0, 2]]), np.array([[0, 1, 1, 1], [0, 1, 0, 0]])
    by_map, by_mask = MaskAveragePrecision(), MaskAveragePrecision()
    by_map.update(pred, true, {1: 0.9, 2: 0.4})
    by_mask.update_masks(np.stack([pred == 1, pred == 2]), [0.9, 0.4], true[None] == 1)
    assert str(by_map.compute()) == str(by_mask.compute())
    assert by_map.compute().mask_precision == 0.5


def test_only_the_best_hundred_predictions_count() -> None:
    masks = np.zeros((101, 10, 101), bool)
    for k, mask in enumerate(masks):
        mask[:, k] = True
    metric = MaskAveragePrecision()
    metric.update_masks(masks, np.linspace(1, 0.1, 101), masks[-1:])
    assert metric.compute().ap == 0.0 and metric.compute().mask_precision == pytest.approx(1 / 101)


def test_nothing_is_undefined() -> None:
    metric = MaskAveragePrecision()
    assert math.isnan(metric.compute().ap) and math.isnan(metric.compute().mask_precision)
    metric.update(np.zeros((2, 2), int), np.ones((2, 2), int), {})
    assert metric.compute().ap == 0.0 and math.isnan(metric.compute().mask_precision)


def test_errors_name_the_image() -> None:
    metric = MaskAveragePrecision()
    with pytest.raises(InputError, match="image 'a': predicted instance 1 has no score"):
        metric.update(np.ones((2, 2), int), np.ones((2, 2), int), {}, image_id="a")
    masks = np.zeros((2, 3, 4), bool)
    with pytest.raises(InputError, match="image 'a': expected masks"):
        metric.update_masks(masks, [1, 1], masks[:, :2], image_id="a")
    with pytest.raises(InputError, match="image 'a': expected a score per predicted mask"):
        metric.update_masks(masks, [1], masks, image_id="a")


NO_MASK, ONE_MASK = np.zeros((0, 4, 4), bool), np.ones((1, 4, 4), bool)


@pytest.mark.parametrize(
    ("pred", "scores", "true", "ap", "counts"),
    [
        (NO_MASK, [], ONE_MASK, 0.0, (0, 1)),
        ([], [], ONE_MASK, 0.0, (0, 1)),
        (ONE_MASK, [0.9], NO_MASK, math.nan, (1, 0)),
        (ONE_MASK, [0.9], [], math.nan, (1, 0)),
        (NO_MASK, [], NO_MASK, math.nan, (0, 0)),
        ([], [], [], math.nan, (0, 0)),
    ],
)
def test_images_without_predictions_or_truth(pred, scores, true, ap: float, counts: tuple) -> None:
    metric = MaskAveragePrecision()
    metric.update_masks(pred, scores, true, image_id="a")
    result = metric.compute()
    assert result.ap == pytest.approx(ap, nan_ok=True) and (result.pred_masks, result.true_masks) == counts
    metric.update_masks(ONE_MASK, [0.5], ONE_MASK, image_id="b")
    found, wrong_before = counts[1] == 0, counts[0] == 1
    assert metric.compute().ap == pytest.approx((0.5 if wrong_before else 1.0) if found else 51 / 101)
    assert metric.compute().ar_100 == pytest.approx(1.0 if found else 0.5)


def test_an_empty_side_of_another_size_is_an_error() -> None:
    with pytest.raises(InputError, match=r"image 'a': expected masks \[D, H, W\] and \[G, H, W\] of one size"):
        MaskAveragePrecision().update_masks(np.zeros((0, 4, 5), bool), [], ONE_MASK, image_id="a")


def test_a_score_that_is_no_number_is_an_error() -> None:
    metric = MaskAveragePrecision()
    with pytest.raises(InputError, match="image 'a': the score of prediction 1 is not a number"):
        metric.update_masks(np.ones((2, 4, 4), bool), [0.5, math.nan], ONE_MASK, image_id="a")
    with pytest.raises(InputError, match="image 'a': the score of prediction 0 is not a number"):
        metric.update([[1]], [[1]], {1: math.nan}, image_id="a")
