"""Provenance that can be published: ``labelset.json`` without paths of the machine that wrote it.

Where somebody's files lie says nothing about the labels and may say who they are; what made the labels is told by
digests, which stay.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any


def public_document(document: Mapping[str, Any]) -> dict[str, Any]:
    """``labelset.json`` without paths of this machine.

    The source's folders become ``<data_dir>`` and the like, also inside the reasons of failures; other absolute paths
    (weights, depth files) keep only their last part; the home folder becomes ``~``.
    """
    replacements: dict[str, str] = {}
    for key, value in document["source"].items():
        if _is_local_path(value):
            replacements[value] = f"<{key}>"
    for value in _strings(document["recipe"]):
        if _is_local_path(value):
            replacements.setdefault(value, f"<local>/{Path(value).name}")
    if len(str(Path.home())) > 1:
        replacements.setdefault(str(Path.home()), "~")
    ordered = sorted(replacements.items(), key=lambda pair: -len(pair[0]))
    public = _replaced(copy.deepcopy(dict(document)), ordered)
    for local in ("files", "checksum"):  # of the files here; a release lists its own
        public.pop(local, None)
    return public


def _is_local_path(value: Any) -> bool:
    return isinstance(value, str) and Path(value).is_absolute() and len(Path(value).parts) > 1


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _strings(item)


def _replaced(value: Any, replacements: Sequence[tuple[str, str]]) -> Any:
    if isinstance(value, str):
        for old, new in replacements:
            value = value.replace(old, new)
        return value
    if isinstance(value, Mapping):
        return {key: _replaced(item, replacements) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_replaced(item, replacements) for item in value]
    return value
