"""The listing is the architecture: files and functions of a readable size, typed, each with its test beside it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest


ROOT = Path(__file__).parents[1]
PACKAGE, TESTS = ROOT / "mbps_dataset", ROOT / "tests"
FOLDERS = ("mbps_dataset", "eval", "builder_scripts", "tests")
MOST_LINES_OF_A_FILE, MOST_LINES_OF_A_FUNCTION = 400, 60

ACROSS = {
    "test_docs", "test_docstrings", "test_house", "test_imports", "test_refusals", "test_safety", "test_vectors", "test_wheel",
    "formats/test_peers", "formats/test_panopticapi_peer", "metrics/test_peers", "metrics/test_properties", "stages/instances/test_degenerate_inputs",
}  # fmt: skip
"""Tests of more than one file, by what they have in common."""
OF_OTHER_FOLDERS = ("benchmarks", "builder_scripts", "end_to_end", "eval")

NOTHING_TO_TEST = {"_version", "arrays", "scenes/arrays"}
"""Names and constants only."""
TESTED_WITH = {
    "__main__": "test_cli",
    "named_recipes": "test_recipe",
    "semantics_settings": "test_recipe",
    "stage_settings": "test_recipe",
    "ablation/bench": "ablation/test_run",
    "ablation/subject": "ablation/test_run",
    "ablation/view": "ablation/test_run",
    "commands/export": "formats/test_importing",
    "commands/resume": "end_to_end/test_resume",
    "formats/cityscapes": "formats/test_peers",
    "formats/coco_panoptic": "formats/test_peers",
    "formats/cups": "formats/test_peers",
    "formats/maskformer": "formats/test_peers",
    "formats/layouts": "formats/test_writing",
    "formats/own_exports": "formats/test_importing",
    "labelling/stage_saliency": "labelling/test_road",
    "labelset/folder": "labelset/test_document_file",
    "labelset/public_document": "hub/test_release",
    "metrics/evaluation_settings": "metrics/test_panoptic_quality",
    "metrics/result": "metrics/test_panoptic_quality",
    "scoring/quality_table": "hub/test_release",
    "sources/frame": "sources/test_files",
    "stages/crf_presets": "stages/test_crf",
} | {
    f"scenes/{part}": "scenes/test_render"
    for part in (
        "assembly", "buildings", "camera", "cutouts", "facade_pattern", "furniture", "ground", "layout", "materials", "palette",
        "pattern_pixels", "patterns", "people", "population", "primitives", "projection", "scene_settings", "sensor",
        "shading", "sky", "vehicles", "weather",
    )
}  # fmt: skip
"""Files whose behaviour shows only together with others, and the test that shows it."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def python_files() -> list[Path]:
    return sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


def functions(tree: ast.AST) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def lines_of(function: Function) -> int:
    first = min([function.lineno, *(decorator.lineno for decorator in function.decorator_list)])
    return (function.end_lineno or first) - first + 1


def untyped(function: Function) -> list[str]:
    """Parameters without a type, and ``return`` where the result has none."""
    given = function.args
    named = [*given.posonlyargs, *given.args, *given.kwonlyargs, *filter(None, (given.vararg, given.kwarg))]
    missing = [each.arg for each in named if each.annotation is None and each.arg not in ("self", "cls")]
    return missing if function.returns is not None else [*missing, "return"]


def public_functions(tree: ast.Module | ast.ClassDef) -> Iterator[Function]:
    for node in tree.body:
        if isinstance(node, Function) and not node.name.startswith("_"):
            yield node
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public_functions(node)


def names(folder: Path, pattern: str) -> set[str]:
    return {path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob(pattern)}


def source_of(test: str) -> str:
    """The file that a test mirrors; one named after its folder is of the folder's ``__init__``."""
    path = Path(test)
    name = path.name.removeprefix("test_")
    source = (path.parent / name).as_posix()
    return f"{path.parent.as_posix()}/__init__" if name == path.parent.name and source not in SOURCES else source


SOURCES, TEST_FILES = names(PACKAGE, "*.py"), names(TESTS, "test_*.py")
MIRRORED = {source_of(test): test for test in TEST_FILES}


def test_files_are_of_a_readable_length() -> None:
    lengths = {path.relative_to(ROOT): len(path.read_text(encoding="utf-8").splitlines()) for path in python_files()}
    assert {path: lines for path, lines in lengths.items() if lines > MOST_LINES_OF_A_FILE} == {}


def test_functions_are_of_a_readable_length() -> None:
    long = {
        f"{path.relative_to(ROOT)}:{function.lineno} {function.name}": lines_of(function)
        for path in python_files()
        for function in functions(ast.parse(path.read_text(encoding="utf-8")))
        if lines_of(function) > MOST_LINES_OF_A_FUNCTION
    }
    assert long == {}


def test_public_functions_are_typed() -> None:
    found = {
        f"{path.relative_to(ROOT)}:{function.lineno} {function.name}": untyped(function)
        for path in sorted(PACKAGE.rglob("*.py"))
        for function in public_functions(ast.parse(path.read_text(encoding="utf-8")))
        if untyped(function)
    }
    assert found == {}


def test_every_test_file_has_its_source() -> None:
    theirs = {test for test in TEST_FILES if test in ACROSS or test.startswith(OF_OTHER_FOLDERS)}
    assert {test for test in TEST_FILES - theirs if source_of(test) not in SOURCES} == set()


def test_every_source_file_has_its_test() -> None:
    files = {source for source in SOURCES if not source.endswith("__init__")}
    assert files - set(MIRRORED) - set(TESTED_WITH) - NOTHING_TO_TEST == set()


def test_the_lists_of_exceptions_hold_nothing_needless() -> None:
    excused = set(TESTED_WITH) | NOTHING_TO_TEST
    assert excused - SOURCES == set() and excused & set(MIRRORED) == set()
    assert (set(TESTED_WITH.values()) | ACROSS) - TEST_FILES == set()
    assert NOTHING_TO_TEST & set(TESTED_WITH) == set()


@pytest.mark.parametrize("source", sorted(NOTHING_TO_TEST))
def test_what_needs_no_test_does_nothing(source: str) -> None:
    tree = ast.parse((PACKAGE / f"{source}.py").read_text(encoding="utf-8"))
    assert [function.name for function in functions(tree)] == []


def test_the_checks_find_what_they_are_for() -> None:
    tree = ast.parse("@cache\ndef a(b, *, c: int = 1, **d):\n    pass\n\nclass E:\n    def f(self) -> None: ...\n")
    first, second = public_functions(tree)
    assert untyped(first) == ["b", "d", "return"] and untyped(second) == [] and lines_of(first) == 3
