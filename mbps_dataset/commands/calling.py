"""How this program is called where the person is: `mbps` if that is what the shell finds, else the path that works."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from pathlib import Path


def program() -> str:
    """The beginning of a command line that runs this installation again, as short as it can be.

    "mbps" where the shell finds this `mbps`, else the path it was called by (below the current folder relative to it), or
    Python with ``-m mbps_dataset``.
    """
    called = Path(sys.argv[0] or "mbps")
    if called.name == "__main__.py" and called.parent.name == "mbps_dataset":
        return f"{_shortest(Path(sys.executable))} -m mbps_dataset"
    if called.stem != "mbps" or not called.is_file():  # called from Python
        return "mbps"
    return _shortest(called)


def _shortest(path: Path) -> str:
    """The name if the shell finds this very file by it, else the path from here or the whole one."""
    found = shutil.which(path.name)
    if found is not None and os.path.abspath(found) == os.path.abspath(path):
        return path.name
    whole = Path(os.path.abspath(path))  # links stay: the Python of a virtual environment is one
    return shlex.quote(str(whole.relative_to(Path.cwd()) if whole.is_relative_to(Path.cwd()) else whole))


def as_called(text: str) -> str:
    """`text` in which `mbps …` at the start of a line or of a quotation is written as it works here."""
    here = program()
    return (
        text if here == "mbps" else re.sub(r"(?m)(^\s*|`)mbps (?=[a-zA-Z])", lambda found: f"{found[1]}{here} ", text)
    )
