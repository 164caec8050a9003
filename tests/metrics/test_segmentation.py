from __future__ import annotations

import json
import math

import numpy as np
import pytest

from mbps_dataset.metrics import PanopticQuality, overlap_table
from mbps_dataset.metrics.segmentation import (
    class_overlap,
    confusion_matrix,
    pixel_scores,
    void_share,
)
from mbps_dataset.resizing import resize_nearest
from tests.metrics import golden


@pytest.fixture(scope="module")
def semantic27() -> tuple[dict, dict, dict[str, np.ndarray]]:
    folder = golden.FOLDER / "23_semantic27_crop"
    meta, expected = (json.loads((folder / f"{name}.json").read_text()) for name in ("meta", "expected"))
    with np.load(folder / "inputs.npz") as arrays:
        return meta, expected, {name: arrays[name] for name in arrays.files}


def centre_crop(labels: np.ndarray, size: int) -> np.ndarray:
    """The 27-class protocol's view of a map: the smaller side at `size` px, then the centre `size` x `size`."""
    scale = size / min(labels.shape)
    resized = resize_nearest(labels, *(round(side * scale) for side in labels.shape), "torch")
    top, left = ((side - size) // 2 for side in resized.shape)
    return resized[top : top + size, left : left + size]


@pytest.mark.parametrize("view", ["cropped", "native"])
def test_27_class_protocol_by_vectors(semantic27, view: str) -> None:
    meta, expected, arrays = semantic27
    if view not in expected:
        pytest.skip("no such view in the golden numbers")
    metric = PanopticQuality(meta["things"], meta["stuffs"], matching="hungarian", pseudo_stuff=range(27))
    for k in range(meta["n_images"]):
        maps = [arrays[f"{side}_{k:03d}"] for side in ("pred", "gt")]
        if view == "cropped":
            maps = [centre_crop(labels, meta["size"]) for labels in maps]
            assert np.array_equal(maps[0], arrays[f"pred_crop_{k:03d}"])
            assert np.array_equal(maps[1], arrays[f"gt_crop_{k:03d}"])
        metric.update(maps[0], None, maps[1], None)
    result, restated = metric.compute(), expected[view]["restated"]
    assert result.miou == pytest.approx(expected[view]["cups"]["miou"], abs=1e-6)
    assert result.accuracy == pytest.approx(expected[view]["stego"]["acc"], abs=1e-6)
    assert [result.assignment[k] for k in range(27)] == expected[view]["cups"]["assignment"]
    for theirs, ours in {"miou_penalised": "miou_penalised", "acc_penalised": "accuracy_penalised"}.items():
        if theirs in restated:
            assert getattr(result, ours) == pytest.approx(restated[theirs], abs=1e-12)


def test_confusion_and_scores_by_hand() -> None:
    true = np.array([[0, 0, 0, 1, 1, 255]])
    pred = np.array([[5, 5, 9, 6, 5, 6]])
    table = overlap_table(pred, None, true, None)
    assert class_overlap(table, (5, 6), (0, 1)).tolist() == [[2, 1], [0, 1]]
    confusion = confusion_matrix(table, {5: 0, 6: 1}, (0, 1))
    assert confusion.tolist() == [[2, 0, 1], [1, 1, 0]]
    scores = pixel_scores(confusion, (0, 1))
    assert scores.iou == {0: pytest.approx(2 / 3), 1: pytest.approx(1 / 2)}
    assert scores.accuracy == pytest.approx(3 / 4) and scores.accuracy_penalised == pytest.approx(3 / 5)
    assert scores.miou_penalised == pytest.approx((2 / 4 + 1 / 2) / 2)
    assert void_share(confusion) == pytest.approx(1 / 5)


def test_classes_that_do_not_occur_leave_the_mean() -> None:
    scores = pixel_scores(np.array([[4, 0, 0], [0, 0, 0]]), (0, 1))
    assert scores.miou == 1.0 and math.isnan(scores.iou[1])
    assert math.isnan(pixel_scores(np.zeros((2, 3), int), (0, 1)).miou)
