"""The report's evaluator on two rendered scenes; counts and IoU sums of the reference code."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mbps_dataset import taxonomy
from mbps_dataset.errors import InputError
from mbps_dataset.metrics import PanopticQuality, ReportProtocol
from mbps_dataset.metrics.report_protocol import paint
from tests.vectors import load_vectors


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    return load_vectors("depth_instances") | load_vectors("pq_eval")


def masks_of(arrays: dict[str, np.ndarray], scene: str, key: str) -> np.ndarray:
    shape = arrays[f"{scene}/sem"].shape
    bits = np.unpackbits(arrays[f"{scene}/{key}/masks_packed"], axis=1)
    return bits[:, : shape[0] * shape[1]].reshape(-1, *shape).astype(bool)


def truth_of(arrays: dict[str, np.ndarray], scene: str) -> tuple[np.ndarray, np.ndarray]:
    instance = arrays[f"{scene}/gt_instanceIds"]
    return taxonomy.LABEL_ID_TO_TRAIN_ID[arrays[f"{scene}/gt_labelIds"]], np.where(instance >= 1000, instance, 0)


def run(arrays: dict[str, np.ndarray], scenes: tuple[str, ...], key: str, **settings):
    protocol = ReportProtocol(taxonomy.THINGS_19, taxonomy.STUFF_19, **settings)
    for scene in scenes:
        masks, scores = masks_of(arrays, scene, key), arrays[f"{scene}/{key}/score"]
        protocol.update(arrays[f"{scene}/sem"], masks, *truth_of(arrays, scene), scores=scores, image_id=scene)
    return protocol.compute()


@pytest.mark.parametrize("scene", ["s0", "s2"])
@pytest.mark.parametrize(("mode", "name"), [("sweep", "sweep"), ("connected_components", "cc")])
def test_counts_of_one_scene_by_vectors(arrays, scene: str, mode: str, name: str) -> None:
    result = run(arrays, (scene,), "tau0.20_A1000_d3_s1", mode=mode)
    for kind in ("tp", "fp", "fn"):
        assert [row[kind] for row in result.per_class.values()] == arrays[f"{scene}/{name}_{kind}"].tolist()
    sums = [row["iou_sum"] for row in result.per_class.values()]
    assert np.abs(sums - arrays[f"{scene}/{name}_iou_sum"]).max() < 1e-9


@pytest.mark.parametrize(
    ("mode", "split"),
    [("connected_components", None), ("maskcut", None), ("hybrid", None), ("maskcut", (3, 11, 13, 14, 15, 18))],
)
def test_two_of_the_three_scenes_of_the_file_evaluator_by_vectors(
    arrays, mode: str, split: tuple[int, ...] | None
) -> None:
    """The third scene is not stored: what it must have contributed has to be possible, and the same in every mode."""
    result = run(arrays, ("s0", "s2"), "tau0.10_A500_d3_s1", mode=mode, pred_things=split)
    printed = json.loads(str(arrays["cascade_json"]))[f"panoptic_{mode}{'_attnsplit' if split else ''}"]["per_class"]
    true_segments = []
    for class_id, row in result.per_class.items():
        rest = {kind: printed[taxonomy.NAMES_19[class_id]][kind.upper()] - row[kind] for kind in ("tp", "fp", "fn")}
        assert min(rest.values()) >= 0
        if class_id in taxonomy.STUFF_19:
            assert rest["tp"] + rest["fn"] <= 1 and rest["fp"] == 0
        true_segments.append(rest["tp"] + rest["fn"])
    assert true_segments == [1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 12, 1, 17, 1, 1, 1, 1, 2]


def test_sq_and_rq_are_pooled_and_pq_is_not_by_vectors(arrays) -> None:
    result = run(arrays, ("s0", "s2"), "tau0.10_A500_d3_s1")
    rows = [row for row in result.per_class.values() if row["n"]]
    tp = sum(row["tp"] for row in rows)
    assert result.sq == result.sq_pooled == pytest.approx(sum(row["iou_sum"] for row in rows) / tp)
    assert result.rq == pytest.approx(tp / (tp + sum(row["fp"] + row["fn"] for row in rows) / 2))
    assert result.pq == pytest.approx(np.mean([row["pq"] for row in rows]))
    assert result.convention == "report" and result.matching == "maskcut" and result.images == 2


def test_finished_maps_score_as_the_sweep_that_made_them_by_vectors(arrays) -> None:
    semantic, masks = arrays["s0/sem"], masks_of(arrays, "s0", "tau0.20_A1000_d3_s1")
    painted = paint(semantic, masks, taxonomy.THINGS_19, taxonomy.STUFF_19, mode="sweep")
    classes = np.append(255, painted.classes)[painted.segments]
    metric = PanopticQuality(taxonomy.THINGS_19, taxonomy.STUFF_19, convention="report")
    metric.update(classes, painted.segments, *truth_of(arrays, "s0"))
    result = metric.compute()
    for kind in ("tp", "fp", "fn"):
        assert [row[kind] for row in result.per_class.values()] == arrays[f"s0/sweep_{kind}"].tolist()


def test_order_of_painting() -> None:
    semantic = np.full((20, 20), 1)
    masks = np.zeros((2, 20, 20), bool)
    masks[0, :, :12], masks[1, :, 8:] = True, True
    scores = np.array([0.4, 0.9])
    over = paint(semantic, masks, (1,), (0,), mode="maskcut", scores=scores)
    assert (over.segments[:, 8:12] == 2).all()  # the lower score comes later and wins
    under = paint(semantic, masks, (1,), (0,), mode="sweep")
    assert (under.segments[:, 8:12] == 1).all()


def test_a_mask_painted_over_completely_is_still_wrong() -> None:
    semantic = np.full((20, 20), 1)
    masks = np.ones((2, 20, 20), bool)
    protocol = ReportProtocol((1,), (0,))
    protocol.update(semantic, masks, semantic, np.ones((20, 20), int), scores=[0.9, 0.8])
    row = protocol.compute().per_class[1]
    assert (row["tp"], row["fp"], row["fn"]) == (1, 1, 0)


def test_small_regions_and_stuff_masks_are_left_out() -> None:
    semantic = np.zeros((10, 10), int)
    semantic[0, :9] = 1
    semantic[5:, 5:] = 2
    painted = paint(semantic, np.stack([semantic == 1, semantic == 0]), (1,), (0, 2), mode="maskcut")
    assert painted.classes.tolist() == [0]  # 25 px of stuff, 9 px of thing and a mask on stuff are nothing


def test_errors() -> None:
    with pytest.raises(ValueError, match="`mode` must be one of 'sweep'"):
        paint(np.zeros((2, 2), int), None, (1,), (0,), mode="best")
    protocol = ReportProtocol((1,), (0,))
    with pytest.raises(InputError, match=r"image 'a': expected `masks` \[N, H, W\] to share \(H, W\)"):
        protocol.update(np.zeros((2, 2), int), np.zeros((1, 3, 3), bool), np.zeros((2, 2), int), None, image_id="a")
