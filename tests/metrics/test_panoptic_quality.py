"""`PanopticQuality` against numbers of panopticapi, cityscapesScripts, torchmetrics and CUPS on synthetic scenes."""

from __future__ import annotations

import dataclasses
import doctest
import json
import math
import pickle
import zlib

import numpy as np
import pytest

from mbps_dataset.errors import InputError, RecipeError
from mbps_dataset.metrics import PanopticQuality, panoptic_quality
from tests.metrics import golden


THINGS, STUFF = (2, 3), (0, 1)
AVERAGES = {
    **{f"{short}{ours_suffix[0]}": f"{short}{ours_suffix[1]}" for short in ("pq", "sq", "rq") for ours_suffix in (("", ""), ("_th", "_things"), ("_st", "_stuff"))},
    "sq_matched": "sq_matched",
    "sq_micro": "sq_pooled",
    "rq_micro": "rq_pooled",
    "miou": "miou",
    "acc": "accuracy",
}  # fmt: skip
EVALUATORS = {
    "panopticapi": ({"convention": "coco", "crowds": "last"}, 1e-12),
    "oracle_coco": ({"convention": "coco", "crowds": "last"}, 1e-12),
    "oracle_coco_all_crowds": ({"convention": "coco"}, 1e-12),
    "panopticapi_unmerged_stuff": ({"convention": "coco", "crowds": "last", "merge_stuff": False}, 1e-12),
    "cups": ({"convention": "cups"}, 1e-6),
    "torchmetrics": ({"convention": "cups"}, 1e-6),
    "oracle_cups": ({"convention": "cups"}, 1e-12),
}


def defined(value: float | None) -> float:
    return math.nan if value is None else value


@pytest.fixture(scope="module", params=golden.SCENES)
def scene(request: pytest.FixtureRequest) -> golden.Scene:
    return golden.load(request.param)


@pytest.mark.parametrize("evaluator", EVALUATORS)
def test_equals_the_published_evaluators_by_vectors(scene: golden.Scene, evaluator: str) -> None:
    settings, tolerance = EVALUATORS[evaluator]
    expected = scene.expected[evaluator]
    if isinstance(expected, str):
        expected = scene.expected["oracle_coco"]
    if "error" in expected:
        expected = scene.expected["oracle_cups"]
    if not settings.get("merge_stuff", True):
        scene = without_ids_on_stuff(scene)
    result = scene.metric(**settings).compute()
    for kind in ("tp", "fp", "fn"):
        assert [result.per_class[c][kind] for c in sorted(result.per_class)] == expected[kind]
    for theirs, ours in AVERAGES.items():
        if theirs in expected:
            assert getattr(result, ours) == pytest.approx(defined(expected[theirs]), abs=tolerance, nan_ok=True), (
                theirs
            )
    if "iou" in expected:
        sums = [result.per_class[c]["iou_sum"] for c in sorted(result.per_class)]
        per_match = np.maximum(np.array(expected["tp"]), 1)
        assert np.abs(np.array(sums) - expected["iou"]).max() <= (tolerance * per_match).max()


def without_ids_on_stuff(scene: golden.Scene) -> golden.Scene:
    """The scene as panopticapi got it: one stuff segment for each pseudo-class, and for each class of the truth."""
    named = scene.metric().assignment().classes
    pseudo_stuff = [k for k, class_id in named.items() if class_id in scene.meta["stuffs"]]
    images = [dict(image) for image in scene.images]
    for image in images:
        for side, stuff in (("pred", pseudo_stuff), ("true", scene.meta["stuffs"])):
            if image[f"{side}_instance"] is not None:
                is_stuff = np.isin(image[f"{side}_semantic"], stuff)
                image[f"{side}_instance"] = np.where(is_stuff, 0, image[f"{side}_instance"])
    return dataclasses.replace(scene, images=images)


def test_equals_the_pixel_scores_and_matching_by_vectors(scene: golden.Scene) -> None:
    result = scene.metric().compute()
    expected, matching = scene.expected["semantic"], scene.expected["matching"]
    for theirs, ours in {"miou": "miou", "acc": "accuracy"}.items():
        for suffix in ("", "_penalised"):
            assert getattr(result, ours + suffix) == pytest.approx(
                defined(expected[theirs + suffix]), abs=1e-12, nan_ok=True
            )
    counted = np.sum(expected["confusion_gt_by_pred"])
    share = expected["dropped_pred_void"] / (counted + expected["dropped_pred_void"])
    assert result.predicted_void_share == pytest.approx(share, abs=1e-12)
    assert list(result.undetermined) == matching["undetermined_live_pseudo"]
    for pseudo in set(scene.meta["live_pseudo"]) - set(result.undetermined):
        if sum(matching["cost_matrix"][pseudo]):
            assert result.assignment[pseudo] == matching["assignment"][pseudo]
    scores = scene.metric(matching="majority").compute().assignment
    assert scores == {k: c for k, c in enumerate(matching["majority_vote"]) if c is not None}


def random_maps(seed: int = 0, hw: tuple[int, int] = (24, 40)) -> dict[str, np.ndarray]:
    """Blocky maps with all classes, some void and some crowd."""
    rng = np.random.default_rng(seed)

    def blocks(high: int) -> np.ndarray:
        return np.kron(rng.integers(0, high, (hw[0] // 4, hw[1] // 4)), np.ones((4, 4), int))

    true = blocks(5)
    pred = np.where(rng.random(hw) < 0.8, true, blocks(5))
    as_void = np.array([0, 1, 2, 3, 255])
    return {
        "pred_semantic": as_void[pred],
        "pred_instance": blocks(3),
        "true_semantic": as_void[true],
        "true_instance": blocks(3),
    }


def test_compute_twice_and_after_more_images_is_the_same_as_at_once() -> None:
    metric = PanopticQuality(THINGS, STUFF)
    metric.update(**random_maps(0))
    first = metric.compute()
    assert metric.compute() == first
    metric.update(**random_maps(1))
    both = PanopticQuality(THINGS, STUFF)
    both.update(**random_maps(0))
    both.update(**random_maps(1))
    assert metric.compute() == both.compute() != first


def test_states_of_two_processes_merge() -> None:
    whole, left, right = (PanopticQuality(THINGS, STUFF, matching="hungarian") for _ in range(3))
    for seed in range(4):
        for metric in (whole, left if seed < 2 else right):
            metric.update(**random_maps(seed), image_id=str(seed))
    assert left.merge(right).compute() == whole.compute()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"pred_semantic": np.zeros((2, 2), int)}, r"image 'a': .* share \(H, W\), but got \(2, 2\) and \(24, 40\)"),
        ({"true_semantic": np.zeros((24, 40))}, "image 'a'.*`true_semantic` to hold integers, but got float64"),
        ({"pred_instance": np.full((24, 40), -1)}, "image 'a': `pred_instance` holds the negative id -1"),
        ({"pred_semantic": np.zeros((24, 40, 3), int)}, r"image 'a'.*map \[H, W\], but got shape \(24, 40, 3\)"),
        ({"pred_semantic": np.full((24, 40), 7)}, r"image 'a': the prediction holds \[7\], which are neither classes"),
    ],
)  # fmt: skip
def test_a_bad_image_is_named(change: dict[str, np.ndarray], sentence: str) -> None:
    metric = PanopticQuality(THINGS, STUFF)
    with pytest.raises(InputError, match=sentence):
        metric.update(**(random_maps() | change), image_id="a")
    assert len(metric) == 0


def test_an_image_counts_once() -> None:
    metric, other = PanopticQuality(THINGS, STUFF), PanopticQuality(THINGS, STUFF)
    metric.update(**random_maps(), image_id="a")
    other.update(**random_maps(), image_id="a")
    with pytest.raises(InputError, match="image 'a' was added before"):
        metric.update(**random_maps(), image_id="a")
    with pytest.raises(InputError, match="image 'a' is in both metrics"):
        metric.merge(other)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"convention": "mine"}, "convention must be one of 'coco', 'cups', 'report', but is 'mine'"),
        ({"matching": "best"}, "matching must be one of"),
        ({"matching": "hungarian_split"}, "needs pseudo_things and pseudo_stuff"),
        ({"void": 1}, "stuff contains the void id 1"),
        ({"matching": "hungarian", "pseudo_stuff": range(300)}, "pseudo_stuff contains the void id 255; choose another pred_void"),
        ({"pseudo_things": [1], "pseudo_stuff": [1]}, r"pseudo_things and pseudo_stuff share \[1\]"),
        ({"averaged": [9]}, r"averaged holds \[9\]"),
        ({"pseudo_things": [1, 1]}, "pseudo_things must hold different ids"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be(settings: dict, sentence: str) -> None:
    with pytest.raises(RecipeError, match=sentence):
        PanopticQuality(THINGS, STUFF, **settings)


def test_states_with_different_settings_do_not_merge() -> None:
    with pytest.raises(ValueError, match="convention differ"):
        PanopticQuality(THINGS, STUFF).merge(PanopticQuality(THINGS, STUFF, convention="cups"))


def test_nothing_gives_nan_and_no_exception() -> None:
    for convention in ("coco", "cups", "report"):
        for matching in ("none", "hungarian", "majority"):
            metric = PanopticQuality(THINGS, STUFF, convention=convention, matching=matching)
            assert math.isnan(metric.compute().pq)
            void = np.full((4, 4), 255)
            metric.update(void, None, void, None)
            result = metric.compute(bootstrap=10)
            assert math.isnan(result.pq) and math.isnan(result.miou) and math.isnan(result.predicted_void_share)
            assert result.to_dict()["pq"] is None


def test_more_than_255_clusters_with_their_own_void() -> None:
    true = np.repeat(np.arange(4), 100).reshape(20, 20)
    pred = np.arange(400).reshape(20, 20)
    metric = PanopticQuality(
        THINGS,
        STUFF,
        matching="hungarian_split",
        pseudo_stuff=range(200),
        pseudo_things=range(200, 400),
        pred_void=65535,
    )
    metric.update(pred, None, true, None)
    result = metric.compute()
    assert result.pq == 1.0 and result.assignment[255] == 2 and result.predicted_void_share == 0.0


def test_absent_classes_and_how_ties_move_the_score_by_vectors() -> None:
    """Three classes are absent and left out of averages; their empty columns still take pseudo-classes, by tie."""
    scene = golden.load("24_absent_classes")
    averaged = [c for c, used in enumerate(scene.meta["classes_mask"]) if used]
    expected = scene.expected
    kept = scene.metric(convention="cups", averaged=averaged).compute()
    spread = expected["pq_cups_convention_over_300_tie_breakings"]
    assert list(kept.undetermined) == expected["undetermined_live_pseudo"]
    assert spread["min"] <= kept.pq <= spread["max"]
    given = dict(enumerate(expected["cups_assignment"]))
    assert scene.metric(convention="cups", averaged=averaged).compute(assignment=given).pq == pytest.approx(
        expected["cups"]["pq"], abs=1e-6
    )
    for convention in ("cups", "coco"):
        result = scene.metric(convention=convention, averaged=averaged, drop_zero_overlap=True).compute()
        dropped = expected["drop_zero_overlap"][f"{convention}_convention"]
        assert result.undetermined == ()
        assert result.pq == pytest.approx(dropped["pq"], abs=1e-12)
        assert [row["fp"] for row in result.per_class.values()] == dropped["fp"]


def test_values_reachable_by_ties_and_the_one_without_by_vectors() -> None:
    folder = golden.FOLDER / "21_zero_overlap_ties"
    cases = json.loads((folder / "expected.json").read_text())
    with np.load(folder / "inputs.npz") as arrays:
        for name, case in cases.items():
            maps = [arrays[f"{name}/{key}"] for key in ("pred_sem", "pred_inst", "gt_sem", "gt_inst")]
            for drop in (False, True):
                metric = PanopticQuality(
                    case["things"],
                    case["stuffs"],
                    pseudo_things=case["pseudo_things"],
                    pseudo_stuff=case["pseudo_stuffs"],
                    matching="hungarian_split",
                    convention="cups",
                    drop_zero_overlap=drop,
                )
                metric.update(*maps)
                expected = case["drop_zero_overlap_pq"] if drop else case["cups_pq"]
                assert metric.compute().pq == pytest.approx(expected, abs=1e-6)


def test_a_metric_of_another_process_brings_everything_along() -> None:
    metric = golden.load("03_over40").metric(convention="cups")
    data = pickle.dumps(metric)
    assert len(zlib.compress(data)) < 40_000
    again = pickle.loads(data)
    assert again.compute() == metric.compute() and again.image_ids == metric.image_ids
    with pytest.raises(InputError, match="image '000' was added before"):
        again.update(**golden.load("03_over40").images[0], image_id="000")


def test_result_is_ready_for_json() -> None:
    data = golden.load("12_all_empty").metric().compute(bootstrap=5).to_dict()
    text = json.dumps(data, allow_nan=False)
    assert json.loads(text)["convention"] == "coco" and data["predicted_void_share"] == 1.0


def test_the_example_of_the_documentation() -> None:
    outcome = doctest.testmod(panoptic_quality)
    assert outcome.attempted >= 6 and outcome.failed == 0
