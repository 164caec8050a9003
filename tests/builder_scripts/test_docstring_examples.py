"""Examples of docstrings become code on the site, and nothing else changes."""

from __future__ import annotations

import pytest


pytest.importorskip("griffe")

from builder_scripts.docstring_examples import fenced  # noqa: E402


def test_text_without_examples_stays():
    text = "One sentence.\n\n* a point: `a >> b`;\n\nRaises `InputError`."
    assert fenced(text) == text


def test_an_example_ends_at_the_next_empty_line():
    assert fenced(">>> a\n1\n>>> b\n2\n\nText") == "```pycon\n>>> a\n1\n>>> b\n2\n```\n\nText"


def test_continued_lines_stay_together():
    assert fenced(">>> f(1,\n...   2)\n3") == "```pycon\n>>> f(1,\n...   2)\n3\n```\n"


def test_a_block_after_two_colons_is_code():
    text = "Used so::\n\n    for x in y:\n        print(x)\n\nText"
    assert fenced(text) == "Used so:\n\n```python\nfor x in y:\n    print(x)\n```\n\nText"
