"""Recipes: validation, settings from text, digests."""

from __future__ import annotations

import json
import os
import re
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbps_dataset import cli
from mbps_dataset import recipe as recipes
from mbps_dataset.errors import RecipeError
from mbps_dataset.named_recipes import RECIPES, get_recipe
from mbps_dataset.recipe import Recipe, stage_names
from mbps_dataset.stages.crf_presets import PRESETS


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


def test_cups_has_the_numbers_of_its_published_code():
    cups = get_recipe("cups")
    semantics, motion, fusion = cups.semantics, cups.motion, cups.fusion
    assert (semantics.method, semantics.short_side, semantics.crop, semantics.stride) == ("depthg", 640, 320, 160)
    assert (semantics.windows, semantics.low_scale, semantics.invalid_alpha) == ("depth", 0.5, 1)
    assert (semantics.flip, semantics.low_flip) == (False, True)  # the whole image has its mirror image, windows none
    assert (cups.clusters.count, cups.clusters.alpha, cups.clusters.temperature) == (27, 2, 1)
    kernels = {name: getattr(cups.crf, name) for name in PRESETS["cups"].kernels.arguments()}
    assert kernels == PRESETS["cups"].kernels.arguments() and cups.crf.truncate and not cups.depth.confirmed
    assert (cups.flow.method, cups.flow.short_side) == ("raft", 640)
    assert (motion.method, motion.geometry, motion.runs, motion.connectivity) == ("rigid", "reference", 8, 8)
    assert (motion.agreement, motion.nearest_m, motion.farthest_m) == (0.8, 5.5, 70)
    assert (motion.top, motion.bottom, int(motion.sides * 1280)) == (0.05, 0.2, 60)
    assert (cups.things.method, cups.things.psi, cups.things.psi_of) == ("motion", 0.08, "share")
    assert (fusion.order, fusion.unlabelled_things, fusion.align_objects) == ("evaluator", "keep", True)
    assert cups.naming.method == "none" and cups.needs_motion


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
        ("instances.sigma=nan", "instances.sigma must be between 0 and 1000, but is nan"),
        ("crf.enabled=maybe", "crf.enabled must be of type bool, but 'maybe' was given"),
        ("crf.iterations=1.5", "crf.iterations must be of type int"),
        ("crf.channel_order=gbr", "crf.channel_order must be one of 'bgr', 'rgb'"),
        ("naming.method=file", "naming.file is not set"),
        ("clusters.method=centroids", "clusters.centroids is not set"),
        ("instances.method=detections", "detections.files is not set"),
        ("instances.method=cuvler", "instances.method must be one of 'depth-gradient', 'watershed'"),
        ("cuts.tiles=2", "cuts.tiles must be two numbers, rows and columns, but is (2,)"),
        ("cuts.tiles=0,2", "cuts.tiles must be at least 1"),
        (
            "semantics.windows=both",
            "semantics.windows must be one of 'high', 'low', 'average', 'depth', but is 'both'",
        ),
        ("semantics.windows=depth", "that of depth.method 'spidepth' has no scale; pass --set depth.method=stereo"),
        ("semantics.invalid_alpha=2", "semantics.invalid_alpha must be between 0 and 1, but is 2.0"),
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
    with pytest.raises(RecipeError, match="known are demo, open, mbps, mbps-k80, mbps-k100, mbps-k80-depthpro"):
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


def a(**parts: object) -> bytes:
    """A recipe file with these parts beside its name."""
    return json.dumps({"name": "a", **parts}).encode()


def of(stage: str, **values: object) -> bytes:
    return a(settings={stage: values})


MALFORMED = {
    "empty": (b"", "not a recipe (empty); write one with `mbps info --recipe NAME --json`"),
    "torn": (b'{"name": "a", "settings": {', "not a recipe (not JSON at line 1 column 28: "),
    "latin": (b'{"name":"\xfc"}', "not a recipe (no UTF-8 text at byte 9)"),
    "utf-16": ('{"name": "a"}'.encode("utf-16"), "not a recipe (no UTF-8 text at byte 0)"),
    "a list": (b"[1]", "Expected a recipe to be an object, {…}, but got [1]."),
    "a number": (b"3", "Expected a recipe to be an object, {…}, but got 3."),
    "null": (b"null", "Expected a recipe to be an object, {…}, but got None."),
    "deep": (b"[" * 100_000, "nested more than 32 deep"),
    "huge": (b'{"name": "' + b"x" * 1_000_000 + b'"}', "1,000,012 bytes, and 1,000,000 is the most"),
    "twice": (b'{"name": "a", "name": "b"}', "the key 'name' twice"),
    "no name": (b"{}", "A recipe needs a name, but this one has none."),
    "name null": (b'{"name": null}', "None is no name: it must be a text"),
    "name a list": (b'{"name": ["a"]}', "['a'] is no name: it must be a text"),
    "name a path": (b'{"name": "../../a"}', "'../../a' is no name: it must hold only letters, digits"),
    "name absolute": (b'{"name": "/tmp/a"}', "'/tmp/a' is no name"),
    "name reserved": (b'{"name": "nul"}', "Windows keeps it for a device"),
    "name long": (json.dumps({"name": "x" * 65}).encode(), "it has 65 characters, and 64 is the most"),
    "unknown key": (a(setings={}), "Unknown key 'setings'; a recipe has name, summary, settings, supervision."),
    "summary a list": (a(summary=["x"]), "summary must be text, but is ['x']."),
    "summary two lines": (a(summary="x\ny"), "summary must be text without control characters"),
    "summary long": (a(summary="x" * 5000), "summary must have at most 4096 characters, but has 5000."),
    "surrogate": (b'{"name": "a", "summary": "\\ud800"}', "which is no Unicode"),
    "supervision a list": (a(supervision=[1]), "Expected supervision to be an object, {…}, but got [1]."),
    "supervision a number": (a(supervision={"depth": 1}), "depth must be text, but is 1."),
    "settings a list": (a(settings=[1]), "Expected settings to be an object, {…}, but got [1]."),
    "settings null": (a(settings=None), "Expected settings to be an object, {…}, but got None."),
    "stage unknown": (of("crff"), "Unknown stage 'crff' in the recipe; stages are semantics, clusters, crf"),
    "stage a list": (a(settings={"crf": [1]}), "Expected settings.crf to be an object, {…}, but got [1]."),
    "stage a text": (a(settings={"crf": "on"}), "Expected settings.crf to be an object, {…}, but got 'on'."),
    "stage null": (a(settings={"crf": None}), "Expected settings.crf to be an object, {…}, but got None."),
    "setting unknown": (of("crf", sharpness=3), "Unknown setting crf.sharpness; crf has backend"),
    "setting unknown, two lines": (of("crf", **{"x\ny": 3}), r"Unknown setting crf.'x\ny'; crf has"),
    "NaN": (b'{"name":"a","settings":{"crf":{"iterations":NaN}}}', "NaN, which is no JSON number"),
    "1e999": (b'{"name":"a","settings":{"crf":{"gaussian_sxy":1e999}}}',
              "crf.gaussian_sxy must be between 0.01 and 1000000.0, but is inf."),
    "a number of 4000 digits": (b'{"name":"a","settings":{"clusters":{"seed":' + b"1" * 4000 + b"}}}",
                                "clusters.seed must be between 0 and 9223372036854775807"),
    "a number of 5000 digits": (b'{"name":"a","settings":{"clusters":{"seed":' + b"1" * 5000 + b"}}}",
                                "not a recipe (Exceeds the limit"),
    "float for int": (of("crf", iterations=1.5), "crf.iterations must be of type int, but is 1.5."),
    "text for number": (of("crf", iterations="10"), "crf.iterations must be of type int, but is '10'."),
    "number for bool": (of("crf", enabled=1), "crf.enabled must be of type bool, but is 1."),
    "null for number": (of("depth", height=None), "depth.height must be of type int, but is None."),
    "list for number": (of("depth", height=[1]), "depth.height must be of type int, but is (1,)."),
    "object for text": (of("depth", weights={}), "depth.weights must be of type str | None, but is {}."),
    "number in list": (of("cuts", weights=["x", 1]), "cuts.weights must be of type tuple[str, ...], but is ('x', 1)."),
    "list in list": (of("things", ids=[[1]]), "things.ids must be of type tuple[int, ...], but is ([1],)."),
    "one tile": (of("cuts", tiles=[1]), "cuts.tiles must be two numbers, rows and columns, but is (1,)."),
    "unknown choice": (of("crf", backend="cuda"), "crf.backend must be one of 'torch', 'pydensecrf'"),
    "a control character": (of("depth", weights="a\0b"), "depth.weights must be text without control characters"),
    "a size no memory holds": (of("semantics", short_side=10**9), "semantics.short_side must be between 14 and 8192"),
    "no scale": (of("semantics", scales=[]), "semantics.scales must name at least one size"),
    "many scales": (of("semantics", scales=[1.0] * 17), "semantics.scales must name at most 16 sizes, but names 17."),
}  # fmt: skip


@pytest.mark.parametrize("kind", MALFORMED)
def test_a_malformed_recipe_is_one_line_that_names_the_file(kind, tmp_path, capsys, monkeypatch):
    content, message = MALFORMED[kind]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/recipe.json").write_bytes(content)
    assert cli.main(["build", "--recipe", "sub/recipe.json", "--source", "scenes", "--limit", "1"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("mbps build: sub/recipe.json: ") and message in said
    assert said.count("\n") == 1 and len(said) < 500
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["recipe.json", "sub"]  # nothing was written


def test_a_recipe_file_that_cannot_be_read_is_one_line(tmp_path):
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "folder.json").mkdir()
    for path, message in (
        (
            str(tmp_path / "none.json"),
            "there is no such recipe file; write one with .* Known names are demo, open, mbps",
        ),
        (str(tmp_path / "pipe.json"), r"cannot be read \(Not a regular file\)"),
        (str(tmp_path / "folder.json"), r"cannot be read \(Is a directory\)"),
        ("a\0.json", "embedded null byte"),
        ("x" * 5000 + ".json", r"cannot be read \(File name too long\)"),
        ("~nobody-of-that-name/a.json", "home"),
    ):
        with pytest.raises(RecipeError, match=message) as said:
            get_recipe(path)
        assert "\n" not in str(said.value)


@pytest.mark.parametrize("reference", ["~nobody-of-that-name/x", "x" * 5000])
def test_a_reference_that_is_no_path_stays_what_it_is(reference):
    recipe = replace(get_recipe("demo"), depth=recipes.DepthSettings(weights=reference[:4096]))
    assert recipe.with_absolute_paths() == recipe


def test_a_recipe_file_is_read_from_any_folder(tmp_path, monkeypatch):
    path = tmp_path / "deep/er/Mine.JSON"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(get_recipe("demo").to_json() | {"name": "mine"}))
    for place, reference in ((tmp_path, "deep/er/Mine.JSON"), (path.parent, "Mine.JSON"), (tmp_path, str(path))):
        monkeypatch.chdir(place)
        assert get_recipe(reference) == replace(get_recipe("demo"), name="mine")


def test_a_recipe_says_what_its_own_networks_saw():
    known = pytest.importorskip("mbps_dataset.models.depth_estimation").KNOWN
    told = {name: dict(recipe.supervision) for name, recipe in RECIPES.items()}
    assert told["mbps-k80-depthpro"].keys() == {"semantic backbone", "CAUSE head and cluster probe", "depth"}
    assert told["mbps-k80-depthpro"]["depth"] == known["depth_pro"][1]
    assert told["mbps-k80"].keys() == told["mbps"].keys() - {"saliency backbone"}  # its things are Cityscapes'
