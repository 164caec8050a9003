"""Random pairs, every run, against the evaluators people use: cityscapesScripts, torchmetrics, pycocotools."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mbps_dataset.metrics import MaskAveragePrecision, PanopticQuality
from tests.metrics.scenes import STUFF, THINGS, VOID, random_scene


SEEDS = np.random.SeedSequence().generate_state(3).tolist()
PAIRS = [f"pair{k}" for k in range(len(SEEDS))]  # names stay the same, so that tests can be spread over processes
CLASSES = (*STUFF, *THINGS)


@pytest.fixture(params=SEEDS, ids=PAIRS)
def scenes(request: pytest.FixtureRequest) -> list[dict]:
    print(f"seed {request.param}")
    return [random_scene(request.param + k, (32, 48), crowd=True) for k in range(3)]


def ours(scenes: list[dict], **settings):
    metric = PanopticQuality(THINGS, STUFF, **settings)
    for scene in scenes:
        metric.update(**scene)
    return metric.compute()


def test_cityscapes_scripts(scenes: list[dict], tmp_path: Path) -> None:
    evaluator = pytest.importorskip("cityscapesscripts.evaluation.evalPanopticSemanticLabeling")
    categories = [{"id": c + 1, "name": str(c), "isthing": int(c in THINGS)} for c in CLASSES]
    for side in ("gt", "pred"):
        annotations = []
        (tmp_path / side).mkdir()
        for number, scene in enumerate(scenes):
            ids, segments = coco_segments(scene, side)
            rgb = np.stack([ids % 256, ids // 256 % 256, ids // 65536], axis=-1).astype(np.uint8)
            Image.fromarray(rgb).save(tmp_path / side / f"{number}.png")
            annotations.append({"image_id": str(number), "file_name": f"{number}.png", "segments_info": segments})
        (tmp_path / f"{side}.json").write_text(json.dumps({"annotations": annotations, "categories": categories}))
    with contextlib.redirect_stdout(io.StringIO()):
        arguments = (tmp_path / "gt.json", tmp_path / "gt", tmp_path / "pred.json", tmp_path / "pred")
        theirs = evaluator.evaluatePanoptic(*map(str, arguments), str(tmp_path / "result.json"))
    result = ours(scenes, crowds="last")
    for title, suffix in (("All", ""), ("Things", "_things"), ("Stuff", "_stuff")):
        for name in ("pq", "sq", "rq"):
            assert getattr(result, name + suffix) == pytest.approx(theirs[title][name], abs=1e-12)


def coco_segments(scene: dict, side: str) -> tuple[np.ndarray, list[dict]]:
    """Ids and `segments_info` of one side; crowds of the truth in the order of their numbers."""
    prefix = {"gt": "true", "pred": "pred"}[side]
    semantic, instance = scene[f"{prefix}_semantic"], scene[f"{prefix}_instance"]
    crowd = scene["true_crowd"] if side == "gt" else np.zeros_like(semantic)
    instance = np.where(np.isin(semantic, THINGS) & (crowd == 0), instance, 0)
    keys = np.stack([semantic, crowd, instance], axis=-1).reshape(-1, 3)
    rows, inverse = np.unique(keys, axis=0, return_inverse=True)
    ids = np.where(rows[:, 0] == VOID, 0, np.arange(1, len(rows) + 1))[inverse.ravel()].reshape(semantic.shape)
    segments = [
        {"id": k + 1, "category_id": int(c) + 1, "iscrowd": int(n > 0), "area": int((ids == k + 1).sum())}
        for k, (c, n, _) in enumerate(rows)
        if c != VOID
    ]
    return ids, segments


def test_torchmetrics(scenes: list[dict]) -> None:
    torch = pytest.importorskip("torch")
    detection = pytest.importorskip("torchmetrics.detection")
    theirs = detection.PanopticQuality(
        set(THINGS), set(STUFF), allow_unknown_preds_category=True, return_sq_and_rq=True, return_per_class=False
    )
    scenes = [{name: m for name, m in scene.items() if name != "true_crowd"} for scene in scenes]
    for scene in scenes:
        pred, true = (
            torch.from_numpy(np.stack([scene[f"{side}_semantic"], scene[f"{side}_instance"]], axis=-1))
            for side in ("pred", "true")
        )
        theirs.update(pred[None], true[None])
    result = ours(scenes, convention="cups")
    for value, name in zip(theirs.compute().flatten().tolist(), ("pq", "sq", "rq")):
        assert getattr(result, name) == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize("seed", SEEDS, ids=PAIRS)
def test_pycocotools_on_overlapping_masks_with_crowds(seed: int) -> None:
    mask_api = pytest.importorskip("pycocotools.mask")
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    metric, truth, results = MaskAveragePrecision(), [], []
    for image in range(1, 6):
        true = boxes(rng, 7)
        pred = np.concatenate([shifted(rng, true[:5]), boxes(rng, 4)])
        true, pred = (
            true[: 0 if image == 4 else 7],
            pred[: 0 if image == 5 else 9],
        )  # one without truth, one without masks
        crowd = rng.random(len(true)) < 0.2
        scores = rng.permutation(len(pred)) / len(pred) * 0.9 + image / 100
        metric.update_masks(pred, scores, true, true_crowd=crowd)
        for mask, flag in zip(true, crowd):
            truth.append({"id": len(truth) + 1, "image_id": image, "category_id": 1, "iscrowd": int(flag),
                          "area": int(mask.sum()), "segmentation": encoded(mask_api, mask)})  # fmt: skip
        for mask, value in zip(pred, scores):
            results.append({"image_id": image, "category_id": 1, "score": float(value),
                            "segmentation": encoded(mask_api, mask)})  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {"images": [{"id": k, "height": 120, "width": 160} for k in range(1, 6)],
                        "categories": [{"id": 1, "name": "object"}], "annotations": truth}  # fmt: skip
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(results), "segm")
        evaluation.params.useCats = 0
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    result = metric.compute()
    names = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")
    for name, value in zip(names, evaluation.stats[:6].tolist()):
        assert np.nan_to_num(getattr(result, name), nan=-1.0) == pytest.approx(value, abs=1e-9), name
    assert result.ar_100 == pytest.approx(evaluation.stats[8], abs=1e-9)


def boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    """Rectangles of 5 to 119 pixels a side: small, medium and large."""
    masks = np.zeros((count, 120, 160), bool)
    for mask in masks:
        height, width = rng.integers(5, 120, 2)
        top, left = rng.integers(0, 120 - height + 1), rng.integers(0, 160 - width + 1)
        mask[top : top + height, left : left + width] = True
    return masks


def shifted(rng: np.random.Generator, masks: np.ndarray) -> np.ndarray:
    return np.stack([np.roll(mask, rng.integers(-4, 5, 2), axis=(0, 1)) for mask in masks])


def encoded(mask_api, mask: np.ndarray) -> dict:
    return mask_api.encode(np.asfortranarray(mask.astype(np.uint8)))


def test_the_numbers_that_mmdetection_tests_itself_with() -> None:
    """Its `CocoPanopticMetric` test: a wall, two persons and a dog, of which all but one person are met (Apache-2.0)."""
    person, dog, wall = 0, 2, 3

    def maps(boxes: list[tuple[int, int, int, int]]) -> tuple[np.ndarray, np.ndarray]:
        semantic, instance = np.full((60, 80), wall), np.zeros((60, 80), int)
        for number, ((x, y, width, height), class_id) in enumerate(zip(boxes, (person, person, dog)), start=1):
            semantic[y : y + height, x : x + width] = class_id
            instance[y : y + height, x : x + width] = number
        return semantic, instance

    true = maps([(10, 10, 10, 40), (30, 10, 10, 40), (50, 10, 10, 5)])
    pred = maps([(11, 11, 10, 40), (38, 10, 10, 40), (51, 10, 10, 5)])
    metric = PanopticQuality([person, 1, dog], [wall], convention="coco")
    metric.update(*pred, *true)
    result = metric.compute()
    theirs = {
        "pq": 67.86874803219071, "sq": 80.89770126158936, "rq": 83.33333333333334, "pq_things": 60.45252075318891,
        "sq_things": 79.9959505972869, "rq_things": 75.0, "pq_stuff": 82.70120259019427, "sq_stuff": 82.70120259019427,
        "rq_stuff": 100.0,
    }  # fmt: skip
    assert {name: 100 * getattr(result, name) for name in theirs} == pytest.approx(theirs, abs=1e-12)
