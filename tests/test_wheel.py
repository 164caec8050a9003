"""A wheel works where no checkout is: nothing is a link, no file is missing, and the demo runs from it."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import mbps_dataset


CHECKOUT = Path(__file__).parents[1]
PACKAGE = Path(mbps_dataset.__file__).parent


def run(*command: str | Path, **options) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built from a copy of the files that git knows or would add, as a fresh clone has them."""
    pytest.importorskip("setuptools")
    tree, out = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("wheel")
    listed = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=CHECKOUT)
    for name in filter(None, listed.split("\0")):
        if name.startswith(("mbps_dataset/", "pyproject", "README", "LICENSE")) and (CHECKOUT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_bytes((CHECKOUT / name).read_bytes())
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", out, tree)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> dict[str, str]:
    """Environment of a Python that has the wheel and what the tests have, and not the checkout."""
    target = tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", target, wheel)
    folder = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return folder | {"PYTHONPATH": str(target), "PYTHONSAFEPATH": "1"}


def test_the_package_holds_no_symbolic_link():
    assert [path for path in PACKAGE.rglob("*") if path.is_symlink()] == []


def test_the_card_at_the_top_is_the_template_of_the_package():
    """A link, or in an archive without links the line that names its goal."""
    card, goal = CHECKOUT / "dataset_card.md", "mbps_dataset/labelset/dataset_card.md"
    assert os.readlink(card) == goal if card.is_symlink() else card.read_text() == goal


@pytest.mark.nightly
def test_a_wheel_holds_every_file_of_the_package(wheel):
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if name.startswith("mbps_dataset/")}
        assert not [info.filename for info in archive.infolist() if info.external_attr >> 16 & 0o170000 == 0o120000]
        tops = {name.split("/")[0] for name in archive.namelist()}
    listed = run("git", "ls-files", "--cached", "--others", "--exclude-standard", "mbps_dataset", cwd=CHECKOUT).split(
        "\n"
    )
    assert held == {name for name in listed if name and (CHECKOUT / name).exists()}
    assert len(tops) == 2  # nothing beside the package and its metadata


@pytest.mark.nightly
def test_the_demo_runs_from_the_wheel(installed, tmp_path):
    python = [sys.executable, "-c"]
    where = run(*python, "import mbps_dataset; print(mbps_dataset.__file__)", cwd=tmp_path, env=installed).strip()
    assert where.startswith(installed["PYTHONPATH"])
    mbps = [sys.executable, "-m", "mbps_dataset"]
    run(*mbps, "build", "--recipe", "demo", "--limit", "1", "--output", "set", cwd=tmp_path, env=installed)
    assert "pq" in run(*mbps, "eval", "set", "--split", "validation", cwd=tmp_path, env=installed).lower()
    run(*mbps, "preview", "set", "--split", "validation", cwd=tmp_path, env=installed)
    assert list(tmp_path.glob("set/**/*.html")) and "configs:" in (tmp_path / "set" / "README.md").read_text()


@pytest.mark.nightly
def test_the_metric_loads_from_the_wheel(installed, tmp_path):
    pytest.importorskip("evaluate")
    script = """
        import evaluate, mbps_dataset.metrics
        metric = evaluate.load(mbps_dataset.metrics.evaluate_module())
        truth = {"semantic": [[0, 0], [13, 13]], "instance": [[0, 0], [1, 1]]}
        print(metric.compute(predictions=[truth], references=[truth])["pq"])
    """
    (tmp_path / "score.py").write_text("\n".join(line.strip() for line in script.strip().split("\n")))
    environment = installed | {"HF_HOME": str(tmp_path / "cache"), "HF_MODULES_CACHE": str(tmp_path / "modules")}
    assert run(sys.executable, "score.py", cwd=tmp_path, env=environment).split()[-1] == "1.0"
