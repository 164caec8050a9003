"""Rows: what they measure, and how detections are named on the command line."""

from __future__ import annotations

import pytest

from mbps_dataset.ablation.rows import Detector, Row, detector_rows, plain_variant
from mbps_dataset.errors import InputError, RecipeError
from mbps_dataset.named_recipes import get_recipe


DEMO = get_recipe("demo")


def test_a_row_changes_its_settings_and_nothing_else():
    (variant,) = Row("no dilation", ("instances.dilation=0",), true_depth=True).variants(DEMO)
    assert variant.recipe.instances.dilation == 0 and variant.recipe.crf == DEMO.crf
    assert variant.true_depth and not variant.true_split and variant.uses_truth


def test_equal_settings_are_one_variant_whatever_they_are_called():
    first, again = Row("a"), Row("b", ("instances.min_area=500",))
    assert first.variants(DEMO) == again.variants(DEMO) == (plain_variant(DEMO),)


def test_every_trial_is_a_variant():
    row = Row("random", ("things.method=random",), trials=(("things.seed=0",), ("things.seed=1",)))
    assert [variant.recipe.things.seed for variant in row.variants(DEMO)] == [0, 1]
    assert Row("nothing", unavailable="no file").variants(DEMO) == ()


def test_a_wrong_setting_is_named():
    with pytest.raises(RecipeError, match="Unknown setting 'instances.tau'"):
        Row("typo", ("instances.tau=1",)).variants(DEMO)


def test_detectors_are_read_from_text():
    detector = Detector.parse("CuVLER=a/b.json,c.json@0.35")
    assert detector == Detector("CuVLER", ("a/b.json", "c.json"), 0.35)
    recipe = DEMO.with_settings(detector.settings())
    assert recipe.detections.files == ("a/b.json", "c.json")
    assert (recipe.detections.min_score, recipe.detections.max_iou) == (0.35, 0.3)
    assert DEMO.with_settings(Detector.parse("x=a.json").settings()).detections.max_iou == 1.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cutler.json", "'cutler.json' names no detections; write NAME=FILE"),
        ("=a.json", "names no detections"),
        ("CutLER=", "names no detections"),
        ("CutLER=a.json@high", "the least score must be a number, but is 'high'"),
    ],
)
def test_bad_detectors_are_named(text, message):
    with pytest.raises(InputError, match=message):
        Detector.parse(text)


def test_detectors_that_were_not_given_are_named_as_such():
    rows = detector_rows([Detector("CuVLER t=0.35", ("a.json",))], expected=("CuVLER", "CutLER"), label="w/ {}")
    assert [row.name for row in rows] == ["w/ CuVLER t=0.35", "w/ CutLER"]
    assert not rows[0].unavailable and "--detections CutLER=FILE" in rows[1].unavailable
