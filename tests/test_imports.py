"""Imports point one way, and ground truth cannot reach what must not see it: read from the source text.

`LAYERS` is the folder graph. A module may import from its own folder and from the layers before its own, at top level,
inside a function or for its annotations; folders of one layer do not know of each other.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import mbps_dataset
from mbps_dataset.sources import Truth


ROOT = Path(mbps_dataset.__file__).parent

WORDS = ("_version", "arrays", "errors", "forked")
"""What reading needs of the vocabulary."""

VOCABULARY = (
    "resizing", "taxonomy", "settings", "semantics_settings", "stage_settings", "recipe", "named_recipes", "records",
    "source_names",
)  # fmt: skip

LAYERS: tuple[tuple[str, ...], ...] = (
    WORDS,
    ("reading",),
    VOCABULARY,
    ("stages", "metrics", "store", "scenes"),
    ("sources",),
    ("models",),
    ("labelling", "training"),
    ("labelset",),
    ("formats",),
    ("scoring", "ablation"),
    ("report",),
    ("hub",),
    ("commands",),
    ("__init__", "__main__", "cli"),
)
LEVEL = {part: number for number, layer in enumerate(LAYERS) for part in layer}
ONE_LAYER = {part: layer for layer in (WORDS, VOCABULARY, LAYERS[-1]) for part in layer}
"""Files at the top, which may know their neighbours in the layer; a folder may not."""

PURE = {
    "stages": ("numpy", "scipy", "torch", "PIL", "pydensecrf"),
    "metrics": ("numpy", "scipy"),
}
"""Every third-party package that the equations may use: none of them reads a data set or the network."""

INPUT_OUTPUT = {
    "datasets", "evaluate", "filelock", "glob", "http", "huggingface_hub", "logging", "os", "pathlib", "pickle",
    "pyarrow", "requests", "safetensors", "shutil", "socket", "sqlite3", "subprocess", "tempfile", "tqdm",
    "transformers", "urllib",
}  # fmt: skip


@cache
def modules() -> dict[str, str]:
    """Every module of the package and its source; a package goes by its ``__init__``."""
    named = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        named[".".join(parts)] = path.read_text(encoding="utf-8")
    return named


def resolved(name: str, known: dict[str, str]) -> str | None:
    """The module that holds a dotted name of the package: the longest beginning of it that is a module."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        for candidate in (".".join(parts[:length]), ".".join([*parts[:length], "__init__"])):
            if candidate in known:
                return candidate
    return None


@cache
def written_names(module: str, source: str) -> tuple[str, ...]:
    """Every dotted name that a source imports, relative ones made absolute; also ``import_module("…")`` by string."""
    return tuple(_written_names(module, source))


def _written_names(module: str, source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = [node.module] if node.module else []
            if node.level:
                base = [*module.split(".")[: -node.level], *base]
            yield from (".".join([*base, alias.name]) for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            yield from (a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str))


def third_party(module: str, source: str) -> set[str]:
    return {name.split(".")[0] for name in written_names(module, source)} - {"mbps_dataset"}


def imported(module: str, source: str, known: dict[str, str]) -> set[str]:
    """Modules of the package that a source imports."""
    found = {resolved(n, known) for n in written_names(module, source) if n.split(".")[0] == "mbps_dataset"}
    return {name for name in found if name and name != module}


def graph(known: dict[str, str]) -> dict[str, set[str]]:
    return {module: imported(module, source, known) for module, source in known.items()}


def part_of(module: str) -> str:
    """The folder or the top-level file that a module belongs to."""
    return module.split(".")[1]


def wrong_imports(known: dict[str, str]) -> list[str]:
    """One line for each import that goes upward or sideways."""
    wrong = []
    for module, targets in graph(known).items():
        here = part_of(module)
        for target in sorted(targets):
            there = part_of(target)
            sideways = LEVEL[here] == LEVEL[there] and here != there and here not in ONE_LAYER
            if LEVEL[there] > LEVEL[here] or sideways:
                wrong.append(f"{module} imports {target}: {here} may not know {there}")
    return wrong


def private_names(module: str, source: str) -> list[str]:
    """Names with an underscore in front that a source takes from another module of the package."""
    tree, modules_by_name, taken = ast.parse(source), set(), []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").split(".")[0] == "mbps_dataset"):
            modules_by_name |= {alias.asname or alias.name for alias in node.names if alias.name.islower()}
            taken += [alias.name for alias in node.names if is_private(alias.name) and alias.name != "_version"]
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and is_private(node.attr):
            taken += [f"{node.value.id}.{node.attr}"] * (node.value.id in modules_by_name)
    return taken


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def truth_reads(source: str) -> list[str]:
    """Every place where a source reads ground truth: `.truth`, a field of `Truth` or of a rendered view, by any name."""
    hidden = {"truth", "Truth", *(field.name for field in fields(Truth)), "depth"}
    return [
        f"line {node.lineno}: {ast.unparse(node)}"
        for node in ast.walk(ast.parse(source))
        if (isinstance(node, ast.Attribute) and node.attr in hidden)
        or (isinstance(node, ast.alias) and node.name.split(".")[-1] in hidden)
        or (isinstance(node, ast.Call) and ast.unparse(node.func) in ("getattr", "vars", "attrgetter"))
    ]


def in_folder(folder: str) -> dict[str, str]:
    return {module: source for module, source in modules().items() if part_of(module) == folder}


def planted(module: str, line: str) -> dict[str, str]:
    """The package with one more line at the end of a module."""
    assert module in modules()
    return {**modules(), module: f"{modules()[module]}\n{line}\n"}


def test_every_folder_and_file_has_its_layer():
    assert {part_of(module) for module in modules()} == set(LEVEL)


def test_the_layers_are_those_that_are_documented():
    """The arrows of CONTRIBUTING.md, below the entry points that stand above everything."""
    text = (ROOT.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    arrows = " ".join(next(block for block in text.split("```") if "→" in block).split())
    words, reading, _, *folders = (layer.split(", ") for layer in arrows.split(" → "))
    assert set(words) <= set(WORDS) and reading == ["reading"]
    assert folders == [list(layer) for layer in LAYERS[3:-1]]


def test_imports_point_one_way():
    assert wrong_imports(modules()) == []


@pytest.mark.parametrize(
    ("module", "line", "target"),
    [
        ("stages.fusion", "from mbps_dataset.metrics import overlap_table", "metrics.__init__"),
        ("stages.crf", "def late():\n    from mbps_dataset import metrics", "metrics.__init__"),
        ("metrics.overlap", "import mbps_dataset.stages.crf as crf", "stages.crf"),
        ("store.writing", "from ..labelling import workers", "labelling.workers"),
        ("sources.frame", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import mbps_dataset.hub.builder",
         "hub.builder"),
        ("training.views", "from mbps_dataset.labelling.calibration import Calibration", "labelling.calibration"),
        ("recipe", "import importlib\nimportlib.import_module('mbps_dataset.stages.crf')", "stages.crf"),
        ("commands.build", "from mbps_dataset import cli", "cli"),
        ("hub.release", "from mbps_dataset import MBPSPseudo", "__init__"),
    ],
)  # fmt: skip
def test_a_planted_import_is_found(module, line, target):
    module, target = f"mbps_dataset.{module}", f"mbps_dataset.{target}"
    (found,) = set(wrong_imports(planted(module, line))) - set(wrong_imports(modules()))
    assert found.startswith(f"{module} imports {target}: ")


def when_run(source: str) -> str:
    """A source without what only a type checker imports."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            node.body = [ast.Pass()]
    return ast.unparse(tree)


def test_there_is_no_import_cycle():
    running = {module: when_run(source) for module, source in modules().items()}
    assert len(list(TopologicalSorter(graph(running)).static_order())) == len(running)
    running["mbps_dataset.arrays"] += "\ndef late():\n    import mbps_dataset.records"
    with pytest.raises(CycleError):
        TopologicalSorter(graph(running)).prepare()


def test_no_private_name_crosses_modules():
    assert {module: names for module, source in modules().items() if (names := private_names(module, source))} == {}
    assert private_names("x", "from mbps_dataset.stages import crf as c, _x\nc._rows(c.__doc__)") == ["_x", "c._rows"]


@pytest.mark.parametrize("folder", sorted(PURE))
def test_pure_folders_do_no_input_or_output(folder):
    for module, source in in_folder(folder).items():
        packages = third_party(module, source)
        wrong = packages - set(PURE[folder]) - sys.stdlib_module_names | packages & INPUT_OUTPUT
        assert not wrong, (module, wrong)
        calls = {ast.unparse(n.func) for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Call)}
        assert not calls & {"open", "print", "Image.open", "torch.load", "torch.save"}, module
        assert "mbps_dataset.records" not in imported(module, source, modules()), module


@pytest.mark.parametrize("folder", ["stages", "models", "training"])
def test_ground_truth_is_out_of_reach(folder):
    """Truth comes from sources: training takes frames in one file, which a test below reads; models read image files."""
    allowed = {"models": {"sources.images"}, "stages": set(), "training": set()}[folder]
    for module, source in in_folder(folder).items():
        if module != "mbps_dataset.training.source_data":
            seen = {name for name in imported(module, source, modules()) if part_of(name) in ("sources", "scenes")}
            assert seen <= {f"mbps_dataset.{name}" for name in allowed}, module
            assert not [name for name in written_names(module, source) if name.split(".")[-1] == "Truth"], module
        assert "metrics" not in {part_of(name) for name in imported(module, source, modules())}, module


def test_training_takes_pictures_from_sources_and_no_truth():
    source = modules()["mbps_dataset.training.source_data"]
    assert truth_reads(source) == []
    for line in ("frame.truth()", "view.label_ids", "view.depth", "getattr(frame, name)", "from a import Truth"):
        assert len(truth_reads(f"{source}\n{line}")) == 1


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
    for module, source in modules().items():
        assert not third_party(module, source) & {"torchvision", "timm", "detectron2"}, module


def test_the_package_shows_its_public_names():
    import mbps_dataset

    assert dir(mbps_dataset) == sorted(mbps_dataset.__all__) and {"decode", "get_recipe"} <= set(dir(mbps_dataset))
    assert all(getattr(mbps_dataset, name) is not None for name in dir(mbps_dataset))
