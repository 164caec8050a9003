"""Reading a JSON document that somebody else may have written: bounded, strict, and what is wrong in a few words.

Python's reader takes NaN, the last of two equal keys, half of a surrogate pair and any depth of nesting; each of these
makes a crash or a silent change further on, so here they are faults of the file (ours).
"""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path
from typing import Any, NoReturn


DEEPEST = 32
"""Levels of nesting; documents of this package have five."""


def read_json(path: str | os.PathLike[str], *, most_bytes: int, nan: bool = False) -> Any:
    """The content of a JSON file of at most `most_bytes`; `nan` allows NaN and infinities.

    Raises `OSError` if it is not there, not a regular file or cannot be read, `ValueError` with the reason, a clause that
    fits into brackets, if it holds no such document.
    """
    return parse_json(read_regular(path, most_bytes), nan=nan)


def read_regular(path: str | os.PathLike[str], most_bytes: int) -> bytes:
    """The bytes of a regular file. Raises `OSError`; `ValueError` with the reason if it is larger than `most_bytes`."""
    status = Path(path).stat()
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):  # a pipe or device may never end
        raise OSError(errno.EINVAL, "Not a regular file", str(path))
    if status.st_size > most_bytes:
        raise ValueError(f"{status.st_size:,} bytes, and {most_bytes:,} is the most")
    with open(path, "rb") as stream:
        data = stream.read(most_bytes + 1)
    if len(data) > most_bytes:
        raise ValueError(f"more than {most_bytes:,} bytes, which is the most")
    return data


def parse_json(data: bytes, *, nan: bool = False) -> Any:
    """The document in `data`. Raises `ValueError` with the reason, a clause that fits into brackets."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"no UTF-8 text at byte {error.start:,}") from None
    if not text.strip():
        raise ValueError("empty")
    try:
        document = json.loads(text, object_pairs_hook=_unique, parse_constant=None if nan else _refuse_constant)
    except RecursionError:
        raise ValueError(f"nested more than {DEEPEST} deep") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON at line {error.lineno:,} column {error.colno:,}: {error.msg}") from None
    _check(document)
    return document


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice[:60]!r} twice")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name}, which is no JSON number")


def _check(document: Any) -> None:
    """Depth and texts, without recursion. Raises `ValueError`."""
    level: list[Any] = [document]
    for _ in range(DEEPEST + 1):
        below: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                below += [*value, *value.values()]
            elif isinstance(value, list):
                below += value
            elif isinstance(value, str) and not value.isascii():
                _check_text(value)
        if not below:
            return
        level = below
    raise ValueError(f"nested more than {DEEPEST} deep")


def _check_text(value: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"the text {value[:60]!a}, which is no Unicode") from None
