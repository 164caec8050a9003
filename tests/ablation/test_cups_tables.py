"""CUPS' tables: what each row leaves out, the paper's numbers beside it, and what a recipe cannot have."""

from __future__ import annotations

import math

import pytest

from mbps_dataset.ablation.cups_tables import CUPS_TABLES, DISTANCES
from mbps_dataset.ablation.rendering import column
from mbps_dataset.ablation.rows import Row, Table
from mbps_dataset.named_recipes import RECIPES, get_recipe
from mbps_dataset.recipe import Recipe


MOTION = get_recipe("demo-motion")


def table(name: str, recipe: Recipe = MOTION, distances: tuple[float, ...] = DISTANCES) -> Table:
    return CUPS_TABLES[name](recipe, distances)


def differing(row: Row, other: Row) -> list[str]:
    first, second = (each.variants(MOTION)[0].recipe for each in (row, other))
    return [difference.partition(":")[0] for difference in first.differences(second)]


@pytest.mark.parametrize("name", RECIPES)
def test_every_row_can_be_set_or_says_why_not(name):
    for make in CUPS_TABLES.values():
        made = make(get_recipe(name), DISTANCES)
        assert all(column(each)[0] for each in made.columns)
        assert len({row.name for row in made.rows}) == len(made.rows)
        for row in made.rows:
            assert row.unavailable.startswith("not run: ") or row.variants(get_recipe(name))


def test_every_row_of_table_5_adds_one_component():
    rows = table("cups-5").rows
    assert not any(row.unavailable for row in rows)
    steps = [differing(later, earlier) for earlier, later in zip(rows, rows[1:5])]
    assert steps == [["fusion.align_objects"], ["motion.runs"], ["semantics.windows"], ["motion.method"]]
    assert differing(rows[5], Row("as it is")) == [] and not rows[5].published and not rows[4].published
    published = [row.published["pq"] for row in rows[:4]]
    assert published == sorted(published) == [14.3, 14.9, 15.9, 18.1]


def test_the_papers_tables_agree_where_they_say_the_same():
    components, resolutions = table("cups-5").rows, table("cups-10a").rows
    thresholds = {row.name: row.published["pq"] for row in table("cups-6").rows}
    assert resolutions[0].published == components[2].published
    assert resolutions[3].published == components[3].published
    assert thresholds["psi = 0.08 (this recipe)"] == components[3].published["pq"]


def test_the_recipes_own_threshold_is_among_the_rows():
    changed = MOTION.with_settings(["things.psi=0.2"])
    names = [row.name for row in table("cups-6", changed).rows]
    assert names[-2:] == ["psi = 0.14", "psi = 0.2 (this recipe)"] and len(names) == 7
    assert [row.variants(MOTION)[0].recipe.things.psi for row in table("cups-6").rows] == [
        0.04, 0.06, 0.08, 0.1, 0.12, 0.14,
    ]  # fmt: skip


def test_ranges_of_distance_can_be_others_and_only_the_papers_have_its_numbers():
    assert table("cups-10b").columns == (
        "miou_0_10", "paper_miou_0_10", "miou_10_30", "paper_miou_10_30", "miou_30_inf", "paper_miou_30_inf", "miou",
        "paper_miou", "change_miou",
    )  # fmt: skip
    assert table("cups-10b", distances=(0, 10, 50)).columns == (
        "miou_0_10", "paper_miou_0_10", "miou_10_50", "miou", "paper_miou", "change_miou",
    )  # fmt: skip
    low, _, mean, guided = table("cups-10b").rows
    assert low.published == {"miou_0_10": 30.7, "miou_10_30": 28.7, "miou_30_inf": 23.3, "miou": 29.5}
    assert not mean.published and guided.published["miou"] == 31.1 and math.isinf(DISTANCES[-1])


def test_what_a_recipe_without_motion_or_metres_cannot_have_is_said():
    demo = get_recipe("demo")
    assert all(
        "the instances of the recipe 'demo' are not what moves" in r.unavailable for r in table("cups-5", demo).rows
    )
    assert all("'attention', which has no psi" in row.unavailable for row in table("cups-6", demo).rows)
    for name in ("cups-10a", "cups-10b"):
        *others, guided = table(name, demo).rows
        assert not any(row.unavailable for row in others)
        assert guided.unavailable.startswith("not run: semantics.windows is 'depth', which needs depth in metres")
