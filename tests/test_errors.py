"""Errors are told of in one way in docstrings: ``Raises `XError` if …``, or ``for …``, or ``naming …``."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import mbps_dataset


ROOT = Path(mbps_dataset.__file__).parents[1]
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)

OTHER_WAYS = re.compile(
    r"\bErrors: |^\s*Raises:|\b[Rr]aises [A-Z]\w*Error\b|(?:^|\. )Raise `|\bRaises? `\w+Error` (?:when|whenever|on) ",
    re.MULTILINE,
)


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
