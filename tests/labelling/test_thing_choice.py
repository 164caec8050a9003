"""Which classes are things, by each rule, and why."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mbps_dataset import taxonomy
from mbps_dataset.labelling.thing_choice import RULES, ThingCounts, choose_things
from mbps_dataset.named_recipes import get_recipe
from mbps_dataset.stage_settings import ThingsSettings
from mbps_dataset.stages.motion.thing_statistics import MotionCounts
from mbps_dataset.stages.saliency import ClassCounts, SplitCounts
from mbps_dataset.stages.saliency_chance import GRID, Seen


NAMES = tuple(f"c{k}" for k in range(5))
COUNTS = ClassCounts(
    salient_px=np.array([90, 10, 40, 0, 50]),
    total_px=np.array([100, 100, 100, 0, 60]),
    images_with_class=np.array([1, 2, 1, 0, 1]),
    image_area_sum=np.array([150, 4000, 2000, 0, 2000]),
)


def recipe(*settings: str):
    return get_recipe("demo").with_settings(settings)


def things(*settings: str, **counted):
    counts = replace(ThingCounts.zeros(len(NAMES)), **{"overlap": COUNTS} | counted)
    split = choose_things(recipe(*settings), NAMES, counts)
    return [k for k, c in enumerate(split.classes) if c.isthing], split.truth_used, split.classes


def test_attention_ranks_by_ratio_and_drops_large_classes():
    chosen, truth, classes = things("things.n_things=2")
    assert chosen == [2, 4] and truth == ()  # class 0 is the most salient, but covers two thirds of its image
    assert classes[0].ratio == 0.9 and classes[0].coverage == pytest.approx(100 / 150)
    assert classes[3].ratio is None and classes[3].coverage is None
    assert [c.reason for c in classes] == [
        "covers 66.7% of the images it is in, more than 10%",
        "salient share 0.100: rank 3, and the first 2 are things",
        "salient share 0.400: rank 2, and the first 2 are things",
        "in no image",
        "salient share 0.833: rank 1, and the first 2 are things",
    ]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (("things.method=all",), [0, 1, 2, 3, 4]),
        (("things.method=none",), []),
        (("things.method=fixed", "things.ids=1,3"), [1, 3]),
    ],
)
def test_baselines(settings, expected):
    chosen, _, classes = things(*settings)
    assert chosen == expected
    assert all(c.reason for c in classes)


def test_random_things_follow_the_seed():
    first = things("things.method=random", "things.n_things=2")[0]
    assert first == things("things.method=random", "things.n_things=2")[0] and len(first) == 2


def test_depth_split_ranks_by_components():
    splits = SplitCounts(before=np.array([1, 10, 10, 0, 10]), after=np.array([9, 10, 40, 0, 20]))
    assert things("things.method=depth-split", "things.n_things=1", parts=splits)[0] == [2]


def test_the_split_of_cityscapes_counts_as_ground_truth():
    counts = ThingCounts.zeros(19)
    split = choose_things(recipe("things.method=cityscapes"), taxonomy.NAMES_19, counts)
    assert [k for k, c in enumerate(split.classes) if c.isthing] == list(taxonomy.THINGS_19)
    assert split.truth_used == ("thing/stuff split: that of the Cityscapes classes",)


def test_there_is_a_rule_for_every_method_of_the_recipe_and_no_other():
    assert set(RULES) == set(ThingsSettings.__dataclass_fields__["method"].metadata["choices"])


def moving(*settings: str, inside=(80, 1, 19, 0, 5)):
    counts = MotionCounts(np.array(inside), np.array([2, 1, 1, 0, 1]), np.array([100, 100, 100, 0, 500]))
    return things("things.method=motion", *settings, moving=counts)[2]


def test_things_are_what_moves_by_share_or_ratio_and_say_why():
    by_share, by_ratio = moving(), moving("things.psi=0.15", "things.psi_of=ratio")
    assert [c.isthing for c in by_share] == [True, False, True, False, False]
    assert [c.isthing for c in by_ratio] == [True, False, True, False, False]
    assert [c.isthing for c in moving("things.psi=0.5")] == [True, False, False, False, False]
    assert [c.reason for c in by_share] == [
        "79.2% of the summed moving shares in 2 moving objects, above psi = 0.08",
        "1.0% of the summed moving shares in 1 moving objects, not above psi = 0.08",
        "18.8% of the summed moving shares in 1 moving objects, above psi = 0.08",
        "in no image",
        "1.0% of the summed moving shares in 1 moving objects, not above psi = 0.08",
    ]
    assert by_ratio[2].reason == "19.0% of its pixels in 1 moving objects, above psi = 0.15"
    assert by_share[2].ratio == pytest.approx(0.19) and by_share[3].ratio is None and by_share[0].coverage is None


def test_where_nothing_moves_every_class_is_stuff_with_the_reason():
    classes = moving(inside=(0, 0, 0, 0, 0))
    assert not any(c.isthing for c in classes)
    assert [c.reason for c in classes][2:4] == ["no class is a thing: nothing moves", "in no image"]


def seen_by_chance(count: int = 40) -> tuple[Seen, ...]:
    generator = np.random.default_rng(0)
    return tuple(
        Seen(generator.integers(0, 5, (GRID, GRID)).astype(np.uint16), generator.random((GRID, GRID)) < 0.3)
        for _ in range(count)
    )


@pytest.mark.parametrize(
    ("otherwise", "expected", "said"),
    [
        ("attention", [2, 4], "no better than chance"),
        ("none", [], "no better than chance; no class is a thing"),
        ("depth-split", [1, 2], "no better than chance; they are told by depth, which cuts them into parts"),
    ],
)
def test_attention_that_tells_nothing_is_said_and_not_used_where_something_else_is_given(otherwise, expected, said):
    splits = SplitCounts(before=np.array([1, 10, 10, 0, 10]), after=np.array([9, 50, 40, 0, 10]))
    counts = ThingCounts(COUNTS, splits, MotionCounts.zeros(5), seen_by_chance())
    split = choose_things(recipe("things.n_things=2", f"things.otherwise={otherwise}"), NAMES, counts)
    assert [k for k, c in enumerate(split.classes) if c.isthing] == expected
    assert split.notes[0].startswith("things: classes explain ") and split.notes[0].endswith(said)


def test_attention_of_few_images_is_used_and_the_doubt_said():
    counts = replace(ThingCounts.zeros(5), overlap=COUNTS, seen=seen_by_chance(3))
    split = choose_things(recipe("things.n_things=2", "things.otherwise=none"), NAMES, counts)
    assert [k for k, c in enumerate(split.classes) if c.isthing] == [2, 4]
    assert "cannot be said of so few images" in split.notes[0]


def test_clusters_that_stand_for_single_images_are_told_of():
    named = choose_things(recipe("things.n_things=2"), NAMES, replace(ThingCounts.zeros(5), overlap=COUNTS))
    assert not any(note.startswith("clusters: ") for note in named.notes)  # a probe's are not fitted on these images
    counts = replace(ThingCounts.zeros(5), overlap=replace(COUNTS, images_with_class=np.array([9, 9, 2, 0, 1])))
    fitted = choose_things(recipe("clusters.method=kmeans", "clusters.count=5"), NAMES, counts)
    assert "clusters: 2 of 5, with 44% of the pixels, are in at most two images" in fitted.notes[-1]
    many = replace(counts, overlap=replace(COUNTS, images_with_class=np.array([9, 9, 9, 0, 1])))
    assert len(choose_things(recipe("clusters.method=kmeans", "clusters.count=5"), NAMES, many).notes) == 1
