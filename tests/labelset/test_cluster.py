"""Builds through datatrove: local and Ray really run; Slurm's scripts are written, submitted to a stand-in, and run."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from mbps_dataset import cli
from mbps_dataset.errors import InputError
from mbps_dataset.labelset import cluster
from mbps_dataset.labelset.build import build
from tests.tiny import tiny_label_set


@pytest.fixture(scope="module")
def alone(inputs, settings, tmp_path_factory):
    """Digests of the set built by one process; it has two files."""
    output = tmp_path_factory.mktemp("alone") / "set"
    build(tiny_label_set(inputs, output / "stages", settings), output, workers=1, progress=False)
    return digests(output)


def digests(root: Path) -> dict[str, str]:
    files = [*(root / "data").glob("*"), root / "labelset.json", root / "README.md"]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def command(inputs: Path, settings: list[str], output: Path, *more: str) -> list[str]:
    return ["--quiet", "build", "--source", "folder", "--data-dir", str(inputs / "photos"), "--output", str(output),
            "--device", "cpu", *(part for each in settings for part in ("--set", each)), *more]  # fmt: skip


def test_local_tasks_make_the_set_that_one_process_makes(inputs, settings, alone, tmp_path, monkeypatch):
    pytest.importorskip("datatrove", reason="pip install mbps-dataset[cluster]")
    given = command(inputs, settings, tmp_path / "set", "--executor", "local", "--tasks", "2", "--workers", "1")
    assert cli.main(given) == 0
    assert digests(tmp_path / "set") == alone
    ran: list[int] = []
    original = cluster.BuildShard.__call__

    def counted(step, data, rank, world_size):
        ran.append(rank)
        original(step, data, rank, world_size)

    monkeypatch.setattr(cluster.BuildShard, "__call__", counted)
    assert cli.main(given) == 0 and ran == []  # finished shards are skipped
    (tmp_path / "set/data/train-00001-of-00002.parquet").write_bytes(b"torn")
    assert cli.main(given) == 0 and ran == [1]  # a damaged one is made again
    assert digests(tmp_path / "set") == alone


def test_local_tasks_in_two_processes_calibrate_once(inputs, settings, alone, tmp_path):
    pytest.importorskip("datatrove", reason="pip install mbps-dataset[cluster]")
    given = command(inputs, settings, tmp_path / "set", "--executor", "local", "--tasks", "2")
    done = subprocess.run([sys.executable, "-m", "mbps_dataset", *given], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert digests(tmp_path / "set") == alone
    calibration = next((tmp_path / "set/stages/calibration").iterdir()).stat().st_mtime_ns
    rows = [path.stat().st_mtime_ns for path in (tmp_path / "set/stages/labels").rglob("*.bin")]
    assert len(rows) == 6 and calibration < min(rows)  # taken before any shard, and never again
    pids = {path.stem for path in (tmp_path / "set/stages/pace").iterdir()}
    assert len(pids) >= 3  # this command and two tasks


def test_ray_tasks_make_the_set_that_one_process_makes(inputs, settings, alone, tmp_path):
    pytest.importorskip("ray", reason="pip install mbps-dataset[ray]")
    given = command(inputs, settings, tmp_path / "set", "--executor", "ray", "--tasks", "2", "--workers", "1",
                    "--executor-option", "mem_per_cpu_gb=0")  # fmt: skip
    environment = os.environ | {"PYTHONPATH": os.getcwd(), "RAY_USAGE_STATS_ENABLED": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "mbps_dataset", *given], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert digests(tmp_path / "set") == alone
    assert len(list((tmp_path / "set/stages/executor").glob("*/completions/*"))) == 2


STAND_INS = {
    "sbatch": '#!/bin/bash\nn=$(ls "$SUBMITTED" | wc -l)\nfor last; do :; done\ncp "$last" "$SUBMITTED/$n.sh"\n'
              'echo "$@" > "$SUBMITTED/$n.arguments"\necho Submitted batch job $((100 + n / 2))\n',
    "srun": '#!/bin/bash\nwhile [[ "$1" == -* ]]; do [ "$1" = -n ] && shift; shift; done\nexec "$@"\n',
    "scontrol": "#!/bin/bash\necho localhost\n",
}  # fmt: skip


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Stand-ins for sbatch, srun and scontrol; returns the folder of submitted scripts."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "submitted").mkdir()
    for name, text in STAND_INS.items():
        path = tmp_path / "bin" / name
        path.write_text(text)
        path.chmod(path.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("SUBMITTED", str(tmp_path / "submitted"))
    return tmp_path / "submitted"


def test_slurm_jobs_wait_for_each_other_and_their_scripts_run(inputs, settings, alone, slurm, tmp_path, capsys):
    pytest.importorskip("datatrove", reason="pip install mbps-dataset[cluster]")
    output = tmp_path / "set"
    given = command(inputs, settings, output, "--executor", "slurm", "--tasks", "2", "--workers", "1")
    options = ("partition=gpu", "time=04:00:00", "gpus_per_task=1", "sbatch_args.account=lab")
    assert cli.main([*given, *(part for each in options for part in ("--executor-option", each))]) == 0
    assert "Jobs are submitted" in capsys.readouterr().out
    scripts = {}
    for path in sorted(slurm.glob("*.sh")):
        text = path.read_text()
        name = re.search(r"--job-name=(\S+)", text)[1]
        if "launch_pickled_pipeline" in text:  # the others add up statistics
            scripts[name] = (text, path.with_suffix(".arguments").read_text())
    assert list(scripts) == ["mbps-calibrate", "mbps-shards", "mbps-complete"]
    shards, arguments = scripts["mbps-shards"]
    for line in ("--partition=gpu", "--time=04:00:00", "--gpus=1", "--account=lab", "--array=0-1%1"):
        assert f"#SBATCH {line}\n" in shards
    assert "--dependency=afterok:100" in arguments
    assert "--dependency=afterok:102" in scripts["mbps-complete"][1]
    for name, task in (("mbps-calibrate", 0), ("mbps-shards", 1), ("mbps-complete", 0)):
        run_as_slurm_would(scripts[name][0], task)  # shard 0 is lost; completion makes it
    assert digests(output) == alone


def run_as_slurm_would(script: str, task: int) -> None:
    environment = os.environ | {
        "SLURM_ARRAY_TASK_ID": str(task),
        "SLURM_NODELIST": "localhost",
        "PYTHONPATH": os.getcwd(),
    }
    done = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("executor", "given", "message"),
    [
        ("local", {"tasks": None}, "needs --tasks N"),
        (
            "local",
            {"options": ["partition=gpu"]},
            "'partition=gpu' is no option of LocalPipelineExecutor; it has depends",
        ),
        ("slurm", {"options": ["time"]}, "'time' is no option of Slurm"),
        ("slurm", {"options": ["time=1:00:00"]}, "Slurm needs --executor-option partition="),
    ],
)
def test_what_is_missing_is_said(inputs, settings, tmp_path, executor, given, message):
    pytest.importorskip("datatrove", reason="pip install mbps-dataset[cluster]")
    label_set = tiny_label_set(inputs, tmp_path / "stages", settings)
    with pytest.raises(InputError, match=message):
        cluster.build_with_executor(label_set, tmp_path, executor, **{"tasks": 2, "progress": False} | given)


@pytest.mark.parametrize(("executor", "package"), [("local", "datatrove"), ("ray", "datatrove")])
def test_a_missing_package_is_named_with_its_extra(executor, package, monkeypatch):
    monkeypatch.setitem(sys.modules, "datatrove", None)
    extra = {"local": "cluster", "ray": "ray"}[executor]
    with pytest.raises(InputError, match=rf"--executor {executor} needs the package .*mbps-dataset\[{extra}\]"):
        cluster._executor_class(executor)


def test_values_are_numbers_switches_or_text():
    class Executor:
        def __init__(self, pipeline, time=None, cpus_per_task=1, requeue=True, sbatch_args=None):
            pass

    given = ["time=04:00:00", "cpus_per_task=8", "requeue=false", "sbatch_args.account=a=b", "sbatch_args.nice=5"]
    assert json.dumps(cluster._options(given, Executor)) == json.dumps(
        {"time": "04:00:00", "cpus_per_task": 8, "requeue": False, "sbatch_args": {"account": "a=b", "nice": 5}}
    )
