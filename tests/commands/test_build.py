"""`mbps build` on the command line: small first, then all; shards; what is refused; what is said."""

from __future__ import annotations

import json
import shutil

import pytest

from mbps_dataset import cli
from mbps_dataset.commands.build import open_label_set, report
from mbps_dataset.labelset.build import BuildResult
from mbps_dataset.labelset.document_file import write_document
from mbps_dataset.labelset.folder import LabelSetFolder
from mbps_dataset.named_recipes import get_recipe
from tests.formats.label_sets import random_label_set
from tests.sources.test_cityscapes import sequence_tree
from tests.tiny import tiny_settings, write_depth


@pytest.fixture(scope="module")
def command(inputs):
    settings = tiny_settings(inputs, 5)

    def run(output, *more: str) -> int:
        return cli.main(["--quiet", "build", "--source", "folder", "--data-dir", str(inputs / "photos"), "--output",
                         str(output), "--workers", "1", "--device", "cpu",
                         *(part for each in settings for part in ("--set", each)), *more])  # fmt: skip

    return run


def results(output, stage: str) -> dict:
    return {path.name: path.stat().st_mtime_ns for path in (output / "stages" / stage).rglob("*.bin")}


def test_a_few_images_first_then_all(command, tmp_path):
    assert command(tmp_path, "--limit", "2") == 0
    few = results(tmp_path, "codes")
    assert len(few) == 2 and LabelSetFolder(tmp_path).row_count("train") == 2
    assert command(tmp_path) == 0
    every = results(tmp_path, "codes")
    assert len(every) == 5 and few.items() <= every.items()  # the two were not computed again
    assert LabelSetFolder(tmp_path).row_count("train") == 5


def test_shards_on_the_command_line(command, tmp_path, capsys):
    assert command(tmp_path, "--shard", "1/2") == 0
    told = capsys.readouterr().out
    assert "3 images of this shard labelled" in told and "Other shards are missing" in told and "Load it" not in told
    assert command(tmp_path, "--shard", "0/2") == 0
    assert "5 images labelled with recipe demo" in capsys.readouterr().out


@pytest.mark.parametrize("given", ["2/2", "-1/2", "1", "a/b", "1/0", ""])
def test_shards_that_make_no_sense(command, tmp_path, capsys, given):
    with pytest.raises(SystemExit):
        command(tmp_path, f"--shard={given}")
    assert "is not a shard I/N such as 0/4" in capsys.readouterr().err


def test_options_of_the_source_reach_it(tmp_path, capsys):
    given = [
        "build",
        "--recipe",
        "demo",
        "--data-dir",
        str(sequence_tree(tmp_path)),
        "--output",
        str(tmp_path / "set"),
    ]
    few, every = (
        open_label_set(cli.parser().parse_args([*given, *more]))[0]
        for more in ([], ["--source-option", "sequence=true"])
    )
    assert (len(few.frames("train")), len(every.frames("train"))) == (1, 3)
    assert every.source.describe()["sequence"] is True  # which `mbps resume` opens again
    assert cli.main([*given, "--source-option", "sequences=true"]) == 1
    assert (
        "'sequences=true' is no option of the source 'cityscapes'; it has sequence, coarse." in capsys.readouterr().err
    )
    assert not (tmp_path / "set").exists()


def test_another_setting_is_refused_on_one_line(command, tmp_path, capsys):
    assert command(tmp_path, "--limit", "1") == 0
    capsys.readouterr()
    assert command(tmp_path, "--set", "instances.min_area=33") == 1
    told = capsys.readouterr().err
    assert told.startswith("mbps build: ") and told.count("\n") == 1
    assert "instances.min_area: 33 != 20" in told and "--overwrite" in told
    assert command(tmp_path, "--set", "instances.min_area=33", "--overwrite") == 0


def test_workers_are_at_least_one(command, tmp_path, capsys):
    with pytest.raises(SystemExit):
        command(tmp_path, "--workers", "0")
    assert "'0' is not a whole number of at least 1" in capsys.readouterr().err


@pytest.mark.parametrize("with_images", [True, False])
def test_cityscapes_frames_are_warned_of_before_they_are_written(inputs, tmp_path, capsys, with_images):
    settings = tiny_settings(inputs, 5)
    frame = tmp_path / "tree/leftImg8bit/val/ulm/ulm_000000_000019_leftImg8bit.png"
    frame.parent.mkdir(parents=True)
    frame.write_bytes((inputs / "photos/photo_000.png").read_bytes())
    write_depth(inputs / "depth", ["ulm_000000_000019"])
    chosen = [*settings, f"output.with_images={with_images}"]
    assert cli.main(["build", "--data-dir", str(tmp_path / "tree"), "--split", "validation", "--output",
                     str(tmp_path / "set"), "--workers", "1", "--device", "cpu",
                     *(part for each in chosen for part in ("--set", each))]) == 0  # fmt: skip
    told = capsys.readouterr().err
    assert ("will hold the original Cityscapes frames, which may not be passed on" in told) == with_images
    assert ("original Cityscapes frames" in (tmp_path / "set/README.md").read_text()) == with_images


def test_a_redirected_build_says_a_line_per_stage_and_tenth(inputs, tmp_path, capsys):
    settings = (part for each in tiny_settings(inputs, 5) for part in ("--set", each))
    assert cli.main(["build", "--source", "folder", "--data-dir", str(inputs / "photos"), "--output", str(tmp_path),
                     "--workers", "1", "--device", "cpu", *settings]) == 0  # fmt: skip
    told = capsys.readouterr()
    for stage in ("semantic codes (train)", "depth (train)", "labels (train)", "parquet"):
        lines = [line for line in told.err.splitlines() if line.startswith(f"{stage}: ")]
        assert [line.split(",")[0] for line in lines] == [f"{stage}: {k} of 5" for k in range(6)]
    assert "\r" not in told.err and "Look at it:  mbps preview" in told.out
    assert "rendered scenes only" not in told.out  # the tiny weights of the tests do not say what they saw


def test_a_build_from_motion_says_where_something_moved_and_why_not(tmp_path, capsys):
    built = random_label_set(tmp_path)
    recipe = get_recipe("demo-motion").to_json()
    reason = "left and right are swapped (disparity is negative, … px)"
    motion = {"train": {"images_with_objects": 1, "objects": 2, "reasons": {reason: 2}}}
    write_document(tmp_path / "labelset.json", built.document | {"recipe": recipe, "motion": motion})
    assert report(BuildResult(tmp_path, 3, ()), "demo-motion") == 0
    said = f"  train: 2 moving objects in 1 images\n  train: no motion in 2: {reason}\n"
    assert said in capsys.readouterr().out


@pytest.mark.parametrize("source", ["folder", "scenes"])
def test_a_build_says_last_that_the_networks_saw_rendered_scenes_only(source, tmp_path, capsys):
    built = random_label_set(tmp_path)
    statement = {"semantic backbone": dict(get_recipe("demo").supervision)["semantic backbone"]}
    write_document(tmp_path / "labelset.json", built.document | {"source": {"name": source}, "supervision": statement})
    assert report(BuildResult(tmp_path, 3, ()), "demo") == 0
    told = capsys.readouterr().out.splitlines()
    assert ("The networks of this recipe saw rendered scenes only" in told[1]) == (source == "folder")
    assert told[-1].startswith("Look at it:")


def test_pictures_of_other_types_are_told_of_and_kept_in_the_document(inputs, tmp_path, capsys):
    settings = [part for each in tiny_settings(inputs, 5) for part in ("--set", each)]
    shutil.copytree(inputs / "photos", tmp_path / "photos")
    asked = ["--quiet", "build", "--source", "folder", "--data-dir", str(tmp_path / "photos"), "--output",
             str(tmp_path / "set"), "--limit", "2", "--workers", "1", "--device", "cpu", *settings]  # fmt: skip
    line = "3 files of other picture types are left out: .heic; convert them to JPEG or PNG.\n"
    assert cli.main(asked) == 0 and "left out" not in capsys.readouterr().err
    assert "left_out" not in LabelSetFolder(tmp_path / "set").document
    for name in ("a.heic", "b.HEIC", "c.heic"):
        (tmp_path / "photos" / name).write_bytes(b"x")
    assert cli.main([*asked, "--dry-run"]) == 0 and line in capsys.readouterr().err
    assert cli.main(asked) == 0 and capsys.readouterr().err.count(line) == 1
    assert LabelSetFolder(tmp_path / "set").document["left_out"] == {".heic": 3}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--source", "scenes", "--device", "foo"], "device 'foo' is none of torch's; give cpu, cuda, or cuda:1."),
        (["--source", "scenes", "--device", "cuda:99"], "device 'cuda:99': this machine has "),
        (["--data-dir", "~nobody-of-that-name/x"], "is no path (Could not determine home directory.); give a folder."),
        (["--data-dir", "x" * 5000], "is no path ("),
    ],
)
def test_what_cannot_be_is_one_line_and_nothing_is_written(arguments, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["build", "--limit", "1", *arguments]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and message in said and len(said) < 500
    assert list(tmp_path.iterdir()) == []


def test_a_recipe_file_in_another_folder_is_built_under_its_name(inputs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = get_recipe("demo").with_settings(tiny_settings(inputs, 2)).with_absolute_paths()
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/recipe.json").write_text(json.dumps(recipe.to_json() | {"name": "my-recipe"}))
    asked = ["build", "--recipe", "deep/recipe.json", "--data-dir", str(inputs / "photos"), "--workers", "1"]
    assert cli.main(asked) == 0
    document = json.loads((tmp_path / "build/my-recipe/labelset.json").read_text())
    assert document["recipe"]["name"] == "my-recipe" and document["counts"]["train"]["rows"] >= 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["build", "deep"]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["--tasks", "2"], "--tasks and --executor-option are for --executor; give it too."),
        (["--executor-option", "partition=gpu"], "--tasks and --executor-option are for --executor"),
        (
            ["--executor", "local", "--tasks", "2", "--shard", "0/2"],
            "--executor makes all shards itself; leave out --shard.",
        ),
    ],
)
def test_an_argument_without_effect_is_refused(command, tmp_path, capsys, given, sentence):
    assert command(tmp_path / "set", *given) == 1
    assert sentence in capsys.readouterr().err and not (tmp_path / "set").exists()
