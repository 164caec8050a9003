"""The `mbps` command as a person meets it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest

from mbps_dataset.cli import main, parser
from mbps_dataset.commands import COMMANDS


def test_without_arguments_it_lists_its_commands(capsys):
    assert main([]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_help_ends_with_an_example_that_parses(name, capsys):
    with pytest.raises(SystemExit):
        main([name, "--help"])
    out = capsys.readouterr().out
    assert "example:" in out
    for line in COMMANDS[name].EXAMPLE.replace("\\\n", " ").split("\n"):
        parser().parse_args(line.split()[1:])


@pytest.mark.parametrize("arguments", [[], *([name] for name in COMMANDS)])
def test_help_loads_nothing_heavy(arguments):
    code = (
        "import sys\nfrom mbps_dataset.cli import main\n"
        f"try: main({[*arguments, '--help']!r})\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'datasets', 'transformers', 'scipy', 'pandas', 'pyarrow'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and "usage: mbps" in done.stdout, done.stderr


def test_dry_run_prints_the_resolved_recipe_and_writes_nothing(tmp_path, capsys):
    output = tmp_path / "set"
    status = main(["build", "--recipe", "demo", "--limit", "1", "--set", "instances.grad_threshold=0.2",
                   "--output", str(output), "--dry-run"])  # fmt: skip
    out = capsys.readouterr().out
    assert status == 0 and "grad_threshold = 0.2   (changed)" in out and "2 images; about" in out
    assert not output.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["build", "--recipe", "cups2"], "mbps build: Unknown recipe 'cups2'"),
        (["build", "--recipe", "demo", "--set", "x.y=1"], "mbps build: Unknown setting 'x.y'"),
        (["build", "--source", "folder"], "mbps build: The source 'folder' needs --data-dir DIR, the folder"),
        (["build", "--source", "folder", "--data-dir", "/nope"], "mbps build: /nope does not exist"),
        (["eval", "/nope"], "mbps eval: /nope does not exist"),
        (["preview", "/nope"], "mbps preview: /nope does not exist"),
    ],
)
def test_mistakes_are_one_line_without_a_traceback(arguments, message, capsys):
    assert main(arguments) == 1
    err = capsys.readouterr().err
    assert err.startswith(message) and err.count("\n") == 1


def test_all_missing_networks_are_told_at_once_a_line_each(capsys):
    assert main(["build", "--recipe", "mbps", "--source", "scenes"]) == 1
    first, *networks, where, end = capsys.readouterr().err.split("\n")
    assert first == "mbps build: 3 networks of the recipe mbps are missing:" and end == ""
    assert [line.split()[0] for line in networks] == ["semantics.weights", "depth.weights", "saliency.weights"]
    assert "docs/cityscapes.md" in where


def test_eval_prints_and_writes_quality(built, tmp_path, capsys):
    assert main(["eval", str(built.root), "--split", "validation", "--json", str(tmp_path / "q.json")]) == 0
    out = capsys.readouterr().out
    assert "2 images (validation), 19 classes" in out and "convention coco" in out and "hungarian" in out
    quality = json.loads((tmp_path / "q.json").read_text())
    assert quality["images"] == 2 and f"{100 * quality['pq']:.2f}" in out


def test_preview_draws_and_says_where(built, capsys):
    assert main(["preview", str(built.root), "--images", "1"]) == 0
    out = capsys.readouterr().out
    assert str(built.root / "preview.png") in out and (built.root / "report.html").is_file()


def test_info_of_a_label_set_a_recipe_and_an_installation(built, capsys):
    assert main(["info", str(built.root)]) == 0
    assert "truth used  none" in capsys.readouterr().out
    assert main(["info", "--recipe", "mbps", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["settings"]["instances"]["min_area"] == 500
    assert main(["info"]) == 0
    assert "torch" in capsys.readouterr().out


def test_a_reader_that_leaves_early_is_no_error():
    command = f"{sys.executable} -m mbps_dataset info --recipe demo | true; exit ${{PIPESTATUS[0]}}"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=environment)
    assert done.returncode == 0 and done.stderr == ""


def test_hints_and_examples_name_the_program_as_it_was_called(tmp_path, monkeypatch, capsys):
    script = tmp_path / "env/mbps"
    script.parent.mkdir()
    script.touch(mode=0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["env/mbps"])
    monkeypatch.setenv("PATH", "")
    assert main(["preview", "/nope"]) == 1
    assert "env/mbps build" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["preview", "--help"])
    assert "\n  env/mbps preview build/demo --images 8" in capsys.readouterr().out


def test_a_terminated_build_says_that_its_work_is_kept(tmp_path):
    output = tmp_path / "set"
    command = [
        sys.executable,
        "-m",
        "mbps_dataset",
        "build",
        "--recipe",
        "demo",
        "--output",
        str(output),
        "--workers",
        "2",
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as build:
        while not (output / "stages/build.json").exists() and build.poll() is None:
            time.sleep(0.05)
        build.terminate()
        said = build.communicate()[1]
    assert build.returncode == 143
    assert said.endswith("\nInterrupted. Finished work is kept; run the same command again to go on.\n")
    assert "Traceback" not in said and not (output / "labelset.json").exists()


@pytest.mark.parametrize(
    "line",
    ["-q info", "info -q", "info --quiet", "-q info x --quiet", "convert smurf --checkpoint a -q --output b"],
)
def test_quiet_stands_before_or_after_the_command(line):
    assert parser().parse_args(line.split()).quiet is True
    assert parser().parse_args(["info"]).quiet is False


@pytest.mark.parametrize("quiet", [True, False])
def test_redirected_output_tells_how_far_a_job_is_unless_quiet(built, quiet, capsys):
    assert main([*(["--quiet"] if quiet else []), "eval", str(built.root), "--split", "validation"]) == 0
    told = capsys.readouterr().err
    assert ("scoring: 2 of 2" in told) != quiet and "\r" not in told
