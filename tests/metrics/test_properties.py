"""What must not change a score, tried on random scenes."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbps_dataset.metrics import CONVENTIONS, SCALARS, PanopticQuality, PanopticResult
from tests.examples import examples
from tests.metrics.scenes import STUFF, THINGS, VOID, random_scene


SEEDS = st.integers(0, 10_000)
FEW = examples(15)


def score(scenes: list[dict], **options) -> PanopticResult:
    metric = PanopticQuality(THINGS, STUFF, report_hw=None, **options)
    for scene in scenes:
        metric.update(**scene)
    return metric.compute()


def numbers(result: PanopticResult) -> dict[str, float]:
    return {name: getattr(result, name) for name in SCALARS} | {
        str(c): row["n"] for c, row in result.per_class.items()
    }


def assert_same(first: PanopticResult, second: PanopticResult) -> None:
    for name, value in numbers(first).items():
        other = numbers(second)[name]
        assert value == other or (math.isnan(value) and math.isnan(other)), name


@pytest.mark.parametrize("convention", CONVENTIONS)
@FEW
@given(SEEDS)
def test_identity_is_perfect(convention: str, seed: int) -> None:
    scene = random_scene(seed)
    scene["true_instance"] = scene["true_instance"] + 1  # under "report" an instance 0 is none
    result = score(
        [scene | {"pred_semantic": scene["true_semantic"], "pred_instance": scene["true_instance"]}],
        convention=convention,
    )
    assert (result.pq, result.sq, result.rq, result.miou, result.accuracy) == (1.0, 1.0, 1.0, 1.0, 1.0)


@pytest.mark.parametrize("convention", CONVENTIONS)
@FEW
@given(SEEDS, st.permutations(range(1, 4)))
def test_instance_ids_are_only_names(convention: str, seed: int, order: list[int]) -> None:
    scene = random_scene(seed)
    rename = np.array([0, *(1000 * k for k in order)])
    renamed = scene | {name: rename[scene[name]] for name in ("pred_instance", "true_instance")}
    assert_same(score([scene], convention=convention), score([renamed], convention=convention))


@pytest.mark.parametrize("matching", ["hungarian", "hungarian_split", "majority"])
@FEW
@given(SEEDS, st.permutations(range(9)))
def test_pseudo_class_ids_are_only_names(matching: str, seed: int, order: list[int]) -> None:
    scenes = [random_scene(seed + k, pseudo_classes=9) for k in range(2)]
    split = {"pseudo_things": range(4), "pseudo_stuff": range(4, 9)}
    plain = score(scenes, matching=matching, drop_zero_overlap=True, **split)
    rename = np.arange(256)
    rename[:9] = order
    renamed = [scene | {"pred_semantic": rename[scene["pred_semantic"]]} for scene in scenes]
    split = {name: [order[k] for k in ids] for name, ids in split.items()}
    other = score(renamed, matching=matching, drop_zero_overlap=True, **split)
    assert sorted(order[k] for k in plain.undetermined) == sorted(other.undetermined)
    if (
        not plain.undetermined
        and not score(scenes, matching="hungarian", drop_zero_overlap=True, **split).undetermined
    ):
        assert_same(plain, other)


@pytest.mark.parametrize("convention", CONVENTIONS)
@FEW
@given(SEEDS, st.permutations(range(4)))
def test_order_of_images_and_turning_them_does_not_matter(convention: str, seed: int, order: list[int]) -> None:
    scenes = [random_scene(seed + k, crowd=True) for k in range(4)]
    plain = score(scenes, convention=convention)
    assert_same(plain, score([scenes[k] for k in order], convention=convention))
    assert_same(plain, score([{name: m.T for name, m in scene.items()} for scene in scenes], convention=convention))
    assert_same(
        plain, score([{name: m[:, ::-1] for name, m in scene.items()} for scene in scenes], convention=convention)
    )


@FEW
@given(SEEDS, st.integers(0, 4))
def test_batches_and_processes_do_not_matter(seed: int, first: int) -> None:
    scenes = [random_scene(seed + k, pseudo_classes=9) for k in range(4)]
    parts = []
    for batch in (scenes[:first], scenes[first:]):
        parts.append(PanopticQuality(THINGS, STUFF, matching="hungarian"))
        for scene in batch:
            parts[-1].update(**scene)
    merged = parts[0].merge(pickle.loads(pickle.dumps(parts[1])))
    assert_same(merged.compute(), score(scenes, matching="hungarian"))
    assert_same(merged.compute(), merged.compute())


@FEW
@given(SEEDS)
def test_conventions_agree_where_nothing_is_void_or_crowd(seed: int) -> None:
    scene = random_scene(seed)
    for name in ("pred_semantic", "true_semantic"):
        scene[name] = np.where(scene[name] == VOID, 0, scene[name])
    assert_same(score([scene], convention="coco"), score([scene], convention="cups"))


@FEW
@given(SEEDS)
def test_filling_a_crop_s_surroundings_with_void_changes_nothing(seed: int) -> None:
    scene = random_scene(seed)
    bigger = {
        name: np.pad(labels, 5, constant_values=VOID if "semantic" in name else 0) for name, labels in scene.items()
    }
    for convention in ("coco", "cups"):
        assert_same(score([scene], convention=convention), score([bigger], convention=convention))
