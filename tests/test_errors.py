"""Errors are told of in one way in docstrings: ``Raises `XError` if …``, or ``for …``, or ``naming …``."""

from __future__ import annotations

import ast
import pickle
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import mbps_dataset
from mbps_dataset.errors import CalibrationError, InputError, RecipeError


ROOT = Path(mbps_dataset.__file__).parents[1]
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)

OTHER_WAYS = re.compile(
    r"\bErrors: |^\s*Raises:|\b[Rr]aises [A-Z]\w*Error\b|(?:^|\. )Raise `|\bRaises? `\w+Error` (?:when|whenever|on) ",
    re.MULTILINE,
)


@pytest.mark.parametrize("kind", [InputError, RecipeError, CalibrationError])
def test_messages_are_one_line_of_visible_characters(kind: type[ValueError]) -> None:
    """The name of a file may hold a line break, a colour for the terminal, or a turn of the writing direction."""
    assert str(kind("a\nb\x1b[31m\u202egnp.ü🚗\x85: no file.")) == r"a\nb\x1b[31m\u202egnp.ü🚗\x85: no file."
    assert str(pickle.loads(pickle.dumps(kind("a\nb")))) == r"a\nb"


@pytest.mark.parametrize("kind", [InputError, RecipeError, CalibrationError])
def test_a_long_message_keeps_its_ends(kind: type[ValueError]) -> None:
    """The file stands at the beginning, what to do at the end; between them may be what a file holds."""
    said = str(kind("a.json: image " + "x" * 5000 + " has no map; copy it."))
    assert said.startswith("a.json: image xxx") and said.endswith("x has no map; copy it.") and " … " in said
    assert len(said) == len(str(kind(said))) <= 1000 and str(kind("y" * 1000)) == "y" * 1000


def docstrings() -> Iterator[tuple[str, str]]:
    for folder in ("mbps_dataset", "builder_scripts"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, DOCUMENTED) and (text := ast.get_docstring(node)):
                    yield f"{path.relative_to(ROOT)}:{node.body[0].lineno}", text


def test_errors_are_told_in_one_way() -> None:
    told = dict(docstrings())
    assert sum("Raises `" in text for text in told.values()) > 100
    assert [place for place, text in told.items() if OTHER_WAYS.search(text)] == []


@pytest.mark.parametrize(
    "text",
    [
        "Errors: ValueError if sizes differ.", "Args:\n    x: it.\n\nRaises:\n    ValueError: no.",
        "Raise `InputError` if it is.", "Raises ValueError if it is.", "It raises InputError.", "Raises `StoreError` when the disk is full.",
    ],
)  # fmt: skip
def test_other_ways_would_be_found(text: str) -> None:
    assert OTHER_WAYS.search(text) and not OTHER_WAYS.search("Raises `InputError` if it is, `StoreError` for others.")
