"""For the site: show the examples of docstrings, and blocks after ``::``, as code.

Docstrings here are plain text with doctests between paragraphs; mkdocstrings reads them as Markdown, where ``>>>`` is a
quotation. Named in mkdocs.yml.
"""

from __future__ import annotations

import re
from typing import Any

import griffe


_EXAMPLE = re.compile(r"^ *>>> .*\n?(?:^ *\S.*\n?)*", re.MULTILINE)
_LITERAL = re.compile(r"^(.*\S)?(?: ?)::\n\n((?: {4}.*\n?|\n(?= {4}))+)", re.MULTILINE)


def fenced(text: str) -> str:
    """`text` with every doctest, and every indented block after ``::``, inside a fence."""
    text = _LITERAL.sub(lambda m: f"{m[1] or ''}:\n\n```python\n{_dedent(m[2])}\n```\n", text)
    return _EXAMPLE.sub(lambda m: f"```pycon\n{_dedent(m[0])}\n```\n", text)


def _dedent(block: str) -> str:
    return re.sub(r"^ {4}", "", block.rstrip(), flags=re.MULTILINE) if block.startswith("    ") else block.rstrip()


class DocstringExamples(griffe.Extension):
    """Fences the examples of every docstring that griffe reads, but those in a Google-style section of their own."""

    def on_instance(self, *, obj: Any, **_: Any) -> None:
        """Called by griffe for every module, class, function and attribute."""
        if obj.docstring and not re.search(r"^\s*Examples:", obj.docstring.value, re.MULTILINE):
            obj.docstring.value = fenced(obj.docstring.value)
