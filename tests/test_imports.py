"""Imports point one way, and ground truth cannot reach what must not see it: read from the source text."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import mbps_dataset


ROOT = Path(mbps_dataset.__file__).parent
FILES = sorted(path for path in ROOT.rglob("*.py"))


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def files_of(*folders: str) -> list[Path]:
    return [path for path in FILES if path.relative_to(ROOT).parts[0] in folders]


def test_the_reader_of_imports_sees_imports():
    assert "mbps_dataset.sources" in imported(ROOT / "pipeline.py")
    assert len(files_of("stages")) > 10


@pytest.mark.parametrize("folder", ["stages", "models", "training"])
def test_ground_truth_is_out_of_reach(folder):
    banned = (
        "mbps_dataset.sources",
        "mbps_dataset.scoring.score",
        "mbps_dataset.labelling.whole_set",
        "mbps_dataset.metrics",
    )
    for path in files_of(folder):
        assert not [name for name in imported(path) if name.startswith(banned)], path


@pytest.mark.parametrize(
    ("folder", "banned"),
    [
        ("stages", ("datasets", "transformers", "huggingface_hub", "pathlib", "mbps_dataset.records")),
        ("metrics", ("datasets", "transformers", "huggingface_hub", "torch", "pathlib")),
    ],
)
def test_pure_folders_do_no_input_or_output(folder, banned):
    for path in files_of(folder):
        wrong = [name for name in imported(path) if name.split(".")[0] in banned or name in banned]
        assert not wrong, (path, wrong)


def test_lower_layers_do_not_import_upper_ones():
    upper = ("cli", "commands", "build", "builder", "labelset", "provenance", "preview", "report_page", "scoring")
    for path in FILES:
        layer = path.relative_to(ROOT).with_suffix("").parts[0]
        if layer in ("stages", "models", "metrics", "sources", "store", "recipe", "taxonomy", "records", "pipeline"):
            wrong = [n for n in imported(path) if n.startswith(tuple(f"mbps_dataset.{name}" for name in upper))]
            assert not wrong, (path, wrong)


@pytest.mark.parametrize("module", ["mbps_dataset.stages.crf", "mbps_dataset.metrics", "mbps_dataset.stages.fusion"])
def test_importable_without_the_hugging_face_stack(module):
    code = (
        "import sys\n"
        "for name in ('datasets', 'transformers', 'evaluate'): sys.modules[name] = None\n"
        f"import {module}\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT.parent)
    assert done.returncode == 0, done.stderr


def test_no_forbidden_dependency_anywhere():
    for path in FILES:
        assert not {name.split(".")[0] for name in imported(path)} & {"torchvision", "timm", "detectron2"}, path
