"""Names of files, and what a folder says about itself."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbps_dataset import cli
from mbps_dataset.errors import InputError
from mbps_dataset.formats.description import Description, file_stem, image_id_of, split_folder
from tests.hub.label_sets import make_label_set


@given(st.text(max_size=60))
def test_every_image_id_is_one_safe_file_name_and_comes_back(image_id):
    stem = file_stem(image_id)
    assert image_id_of(stem) == image_id
    assert not set(stem) & set('/\\:*?"<>|\0\n') and not stem.startswith(".")


def test_plain_names_stay_plain():
    assert file_stem("frankfurt_000001_000294") == "frankfurt_000001_000294"
    assert file_stem("ünï 1") == "ünï 1" and split_folder("validation") == "val" and split_folder("train") == "train"


def test_a_description_comes_back_from_its_file(tmp_path):
    description = Description("cups", ("a", "b"), (1,), False, 255, {"train": 3}, {"size": [4, 5]}, {"identity": "x"})
    (tmp_path / "x.json").write_text(description.to_json(), encoding="utf-8")
    assert Description.read(tmp_path / "x.json") == description
    assert description.palette().shape == (2, 3)


WHOLE = {"version": 1, "format": "cups", "class_names": ["a", "b"], "things": [1], "named": False, "void": 255,
         "splits": {"train": 1}, "options": {}, "origin": {}}  # fmt: skip


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"not the description of an export \(empty\); export again"),
        ("[1]", "it states no version"),
        ("null", "it states no version"),
        ('{"version": "1"}', "it states no version"),
        ('{"version": 2}', "written by a later mbps-dataset .version 2.; update to read it"),
        ('{"version": 1}', "lacks class_names"),
        ("[" * 100_000, "nested more than 32 deep"),
        (WHOLE | {"more": 1}, "unexpected keyword argument 'more'"),
        (WHOLE | {"class_names": [1]}, "class_names is no list of names"),
        (WHOLE | {"class_names": 5}, "not iterable"),
        (WHOLE | {"things": [2]}, "things names no class"),
        (WHOLE | {"things": ["a"]}, "things names no class"),
        (WHOLE | {"void": 0}, "void is 0, but must be 255"),
        (WHOLE | {"void": [255]}, "void is .255., but must be 255"),
        (WHOLE | {"named": 1}, "named is neither true nor false"),
        (WHOLE | {"format": []}, "format is no text"),
        (WHOLE | {"splits": ["train"]}, "splits is no object"),
        (WHOLE | {"splits": {"../../x": 1}}, "a split's name: '../../x' is no name"),
        (WHOLE | {"splits": {"/tmp/x": 1}}, "a split's name: '/tmp/x' is no name"),
        (WHOLE | {"splits": {"train": "1"}}, "the split train counts '1' images"),
        (WHOLE | {"splits": {"train": -1}}, "the split train counts -1 images"),
        (WHOLE | {"origin": {"labelset": []}}, "origin.labelset is no object"),
        (WHOLE | {"origin": {"labelset": {}}}, "origin.labelset: lacks format_version"),
    ],
)
def test_a_description_that_is_none_is_one_line(content, message, tmp_path):
    path = tmp_path / "mbps_export.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(InputError, match=f"mbps_export.json: .*{message}") as said:
        Description.read(path)
    assert "\n" not in str(said.value)


@pytest.mark.parametrize("name", ["../../escape", "/tmp/escape", "..", ".hidden"])
def test_an_export_is_never_imported_outside_its_target(name, tmp_path, capsys):
    built = make_label_set(tmp_path / "home/set")
    exported = tmp_path / "home/exported"
    assert cli.main(["export", str(built.root), str(exported), "--format", "maskformer"]) == 0
    path = exported / "mbps_export.json"
    document = json.loads(path.read_text())
    document["splits"][name] = document["splits"].pop("train")
    path.write_text(json.dumps(document))
    before, _ = sorted(tmp_path.rglob("*")), capsys.readouterr()
    for command in (
        ["export", str(exported), str(tmp_path / "home/back"), "--format", "parquet"],
        ["eval", str(exported)],
    ):
        assert cli.main(command) == 1
        said = capsys.readouterr().err
        assert said.count("\n") == 1 and f"{name!r} is no name" in said
        assert sorted(tmp_path.rglob("*")) == before
