"""The one rule for names of splits and recipes, which become names of folders and files.

They come from documents that somebody else may have written (``labelset.json``, ``mbps_export.json``, a recipe, a release
on the Hub), so every reader of such a document asks here. What the rule lets through is a single file name on Linux,
macOS and Windows and a configuration on the Hub (ours; stricter than any of them).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable


LONGEST_NAME = 64
"""Characters; with a suffix such as ``-00000-of-00001.parquet`` still far below the 255 bytes of a file name."""

_ALLOWED = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)


def fault_of_name(name: object) -> str | None:
    """Why `name` cannot name a split or a recipe, as a clause without a full stop; None if it can.

    >>> fault_of_name("mbps-k80"), fault_of_name("../x")
    (None, "'../x' is no name: it must hold only letters, digits, '.', '_' and '-', and not begin with '.' or '-'")
    """
    if not isinstance(name, str):
        return f"{shown(name)} is no name: it must be a text"
    if len(name) > LONGEST_NAME:
        return f"{shown(name)} is no name: it has {len(name)} characters, and {LONGEST_NAME} is the most"
    if not _ALLOWED.fullmatch(name):
        return (f"{shown(name)} is no name: it must hold only letters, digits, '.', '_' and '-', and not begin with '.' "
                "or '-'")  # fmt: skip
    if name.endswith("."):
        return f"{shown(name)} is no name: it must not end with a dot"
    if _RESERVED.fullmatch(name):
        return f"{shown(name)} is no name: Windows keeps it for a device"
    return None


def shown(value: object, limit: int = 60) -> str:
    """`repr` for a message: on one line and at most `limit` characters, however large the value.

    >>> shown("road\\n"), shown("x" * 99, 8)
    ("'road\\\\n'", "'xxxxxx…")
    """
    if isinstance(value, (str, bytes)):
        value = value[:limit]
    elif isinstance(value, (list, tuple, dict, set)) and len(value) > limit:
        return f"a {type(value).__name__} of {len(value)} values"
    text = repr(value).replace("\n", " ")  # arrays are shown in several lines
    return text if len(text) <= limit else text[: limit - 1] + "…"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A question that names what is nearest to a mistyped name, with a space before it; "" if nothing is near.

    >>> did_you_mean("mbsp", ["demo", "mbps"]), did_you_mean("xyz", ["demo", "mbps"])
    (" Did you mean 'mbps'?", '')
    """
    near = difflib.get_close_matches(name[:200], list(known), n=1)
    return f" Did you mean {near[0]!r}?" if near else ""
