"""`mbps info --recipe`: every setting with what it means and may be, and the nearest name for a typo."""

from __future__ import annotations

import re
import typing
from dataclasses import fields

import pytest

from mbps_dataset import cli
from mbps_dataset.named_recipes import RECIPES
from mbps_dataset.recipe import Recipe, stage_names
from mbps_dataset.settings import parse_setting


@pytest.mark.parametrize("name", RECIPES)
def test_every_setting_stands_with_its_meaning_and_what_it_may_be(name, capsys):
    assert cli.main(["info", "--recipe", name]) == 0
    told = capsys.readouterr().out
    flat = " ".join(told.split())
    for stage in stage_names():
        for declared in fields(getattr(RECIPES[name], stage)):
            assert f"{stage}.{declared.name} = " in told
            assert " ".join(declared.metadata["help"].split()) in flat
            for choice in declared.metadata["choices"] or ():
                assert choice in told
    assert max(map(len, told.splitlines()[3:])) < 200


def test_values_are_written_as_set_takes_them_and_changes_are_marked(capsys):
    assert cli.main(["info", "--recipe", "mbps-k80"]) == 0
    lines = re.findall(r"^([* ]) (\w+)\.(\w+) = (.*)$", capsys.readouterr().out, re.MULTILINE)
    recipe, plain = RECIPES["mbps-k80"].settings(), Recipe("defaults").settings()
    assert len(lines) == sum(map(len, plain.values()))
    for mark, stage, name, text in lines:
        hint = typing.get_type_hints(type(getattr(RECIPES["mbps-k80"], stage)))[name]
        value = recipe[stage][name]
        if value != ():
            assert parse_setting(text, hint, name) == value
        assert (mark == "*") == (value != plain[stage][name])


@pytest.mark.parametrize(
    ("arguments", "question"),
    [
        (["info", "--recipe", "mbps-k8"], "Did you mean 'mbps-k80'?"),
        (["build", "--recipe", "dmeo"], "Did you mean 'demo'?"),
        (["build", "--set", "instances.grad_treshold=0.2"], "Did you mean 'instances.grad_threshold'?"),
        (["build", "--set", "instance.min_area=3"], "Did you mean 'instances.min_area'?"),
        (["build", "--set", "grad_threshold=0.2"], "Did you mean 'instances.grad_threshold'?"),
    ],
)
def test_a_typo_is_answered_with_the_nearest_name(arguments, question, capsys):
    assert cli.main(arguments) == 1
    told = capsys.readouterr().err
    assert told.rstrip().endswith(question) and told.count("\n") == 1


def test_nothing_is_guessed_where_nothing_is_near(capsys):
    assert cli.main(["info", "--recipe", "xyzzy"]) == 1
    assert "Did you mean" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["set", "--recipe", "demo"], "LABELSET and --recipe are shown one at a time; give one of them."),
        (["--recipe", "demo", "--weights", "x"], "--recipe and --weights are shown one at a time"),
        (["set", "--json"], "--json writes a recipe; give --recipe too."),
    ],
)
def test_what_would_not_be_shown_is_refused(arguments, sentence, capsys):
    assert cli.main(["info", *arguments]) == 1
    assert sentence in capsys.readouterr().err


def test_weights_say_what_they_saw_and_their_licence(tmp_path, capsys):
    from mbps_dataset.models.cascade.convert import convert_cascade
    from tests.models.cascade.published_files import detectron2_file

    convert_cascade(system="cutler", checkpoint=detectron2_file(tmp_path / "x.pth"), output=tmp_path / "cutler")
    assert cli.main(["info", "--weights", str(tmp_path / "cutler")]) == 0
    seen, licence = capsys.readouterr().out.splitlines()
    assert seen.startswith("supervision: self-supervised: a DINO ResNet-50") and seen.endswith("no human labels")
    assert licence == "licence: CC BY-NC-SA 4.0: not for commercial use"


def test_weights_of_cause_also_say_what_reached_the_head(capsys):
    assert cli.main(["info", "--weights", "builtin"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert "label" in said[0] and said[-1].startswith("supervision: ")


def test_a_folder_of_something_else_is_refused(tmp_path, capsys):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    assert cli.main(["info", "--weights", str(tmp_path)]) == 1
    assert "config.json has keys that CauseConfig does not know (model_type)" in capsys.readouterr().err
