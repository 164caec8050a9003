"""Recipes: validation, settings from text, digests."""

from __future__ import annotations

import json
import re
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbps_dataset import recipe as recipes
from mbps_dataset.errors import RecipeError
from mbps_dataset.named_recipes import RECIPES, get_recipe
from mbps_dataset.recipe import Recipe, stage_names


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_survives_json(name):
    recipe = get_recipe(name)
    assert Recipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe


def test_every_setting_says_what_it_is():
    for stage in stage_names():
        for declared in fields(getattr(RECIPES["demo"], stage)):
            assert declared.metadata["help"], f"{stage}.{declared.name}"


def test_named_recipes_follow_the_report():
    mbps = get_recipe("mbps")
    assert (mbps.instances.grad_threshold, mbps.instances.min_area, mbps.things.n_things) == (0.10, 500, 6)
    k80 = get_recipe("mbps-k80")
    assert (k80.clusters.count, k80.instances.grad_threshold, k80.instances.min_area) == (80, 0.20, 1000)
    assert not k80.crf.enabled and k80.naming.method == "majority"


def test_demo_uses_no_ground_truth():
    demo = get_recipe("demo")
    assert demo.naming.method == "none" and demo.things.method == "attention"


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("foo=1", "Unknown setting 'foo'"),
        ("instances.tau=1", "Unknown setting 'instances.tau'; instances has method, short_side, grad_threshold"),
        ("instances.grad_threshold", "write STAGE.SETTING=VALUE"),
        ("instances.min_area=-1", "instances.min_area must be at least 0, but is -1"),
        ("things.max_coverage=1.5", "things.max_coverage must be between 0 and 1, but is 1.5"),
        ("instances.sigma=nan", "instances.sigma must be at least 0"),
        ("crf.enabled=maybe", "crf.enabled must be of type bool, but 'maybe' was given"),
        ("crf.iterations=1.5", "crf.iterations must be of type int"),
        ("crf.channel_order=gbr", "crf.channel_order must be one of 'bgr', 'rgb'"),
        ("naming.method=file", "naming.file is not set"),
        ("clusters.method=centroids", "clusters.centroids is not set"),
        ("instances.method=detections", "detections.files is not set"),
        ("instances.method=cuvler", "instances.method must be one of 'depth-gradient', 'watershed'"),
        ("cuts.tiles=2", "cuts.tiles must be two numbers, rows and columns, but is (2,)"),
        ("cuts.tiles=0,2", "cuts.tiles must be at least 1"),
        ("semantics.stride=400", "semantics.stride must not exceed semantics.crop"),
    ],
)
def test_bad_settings_are_named(assignment, message):
    with pytest.raises(RecipeError, match=re.escape(message)):
        get_recipe("demo").with_settings([assignment])


def test_settings_are_parsed_by_their_type():
    changed = get_recipe("demo").with_settings(
        ["instances.grad_threshold=0.2", "crf.enabled=false", "things.ids=3, 11", "semantics.weights=none"]
    )
    assert changed.instances.grad_threshold == 0.2 and changed.crf.enabled is False
    assert changed.things.ids == (3, 11) and changed.semantics.weights is None


def test_unknown_keys_of_a_file_are_refused(tmp_path):
    document = get_recipe("demo").to_json()
    document["settings"]["crf"]["sharpness"] = 3
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(document))
    with pytest.raises(RecipeError, match="Unknown setting crf.sharpness"):
        get_recipe(str(path))
    path.write_text("{")
    with pytest.raises(RecipeError, match="not a recipe"):
        get_recipe(str(path))


def test_recipes_written_before_a_setting_existed_can_be_read():
    document = get_recipe("demo").to_json()
    for stage in ("cuts", "detections"):
        del document["settings"][stage]
    for setting in ("fallback", "fallback_min_area"):
        del document["settings"]["instances"][setting]
    read = Recipe.from_json(document)
    assert read.instances == get_recipe("demo").instances and read.detections.files == ()


def test_unknown_recipe_lists_the_known_ones():
    with pytest.raises(RecipeError, match="known are demo, mbps, mbps-k80, mbps-k100, mbps-k80-depthpro"):
        get_recipe("cups2")


def test_digest_follows_settings_and_nothing_else():
    demo = get_recipe("demo")
    assert replace(demo, name="other", summary="x").digest() == demo.digest()
    assert demo.with_settings(["instances.min_area=501"]).digest() != demo.digest()
    assert demo.differences(demo.with_settings(["instances.min_area=501"])) == ["instances.min_area: 500 != 501"]


@given(st.floats(0, 10, allow_nan=False), st.integers(0, 10_000), st.booleans())
def test_text_and_value_agree(threshold, area, enabled):
    texts = [f"instances.grad_threshold={threshold!r}", f"instances.min_area={area}", f"crf.enabled={enabled}"]
    changed = get_recipe("demo").with_settings(texts)
    assert (changed.instances.grad_threshold, changed.instances.min_area) == (threshold, area)
    assert changed.crf.enabled is enabled


def test_types_are_checked_without_text():
    with pytest.raises(RecipeError, match="semantics.flip must be of type bool"):
        replace(get_recipe("demo"), semantics=recipes.SemanticsSettings(flip=1))
