"""Messages in the words of ``load_dataset``.

Errors say what to do in the words of the command line, where most of them are met. Whoever calls from Python reads the
same advice as arguments; the builder is the one place where it is written so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from mbps_dataset.errors import (
    CalibrationError,
    InputError,
    RecipeError,
    StoreError,
    WeightsError,
    WorkerError,
)


_ERRORS = (InputError, RecipeError, WeightsError, CalibrationError, StoreError, WorkerError)
_VALUE = r"[^\s`]*[^\s`.,;:)]"
_SETTINGS = re.compile(rf"--set {_VALUE}(?: --set {_VALUE})*")
_TRUTH_DIR = re.compile(rf"--truth-dir ({_VALUE})")
_SOURCE_OPTION = re.compile(r"--source-option (\w+)=true")
_OPTION = re.compile(rf"--(data-dir|source|device) ({_VALUE})")


def python_words(message: str) -> str:
    """`message` with options of the command line written as arguments of ``load_dataset``.

    >>> python_words("pass --set depth.method=files --set depth.files=…, or --device cpu.")
    'pass settings=["depth.method=files", "depth.files=…"], or device="cpu".'
    """

    def settings(found: re.Match[str]) -> str:
        given = (f'"{each}"' for each in found[0].removeprefix("--set ").split(" --set "))
        return f"settings=[{', '.join(given)}]"

    message = _SETTINGS.sub(settings, message)
    message = _TRUTH_DIR.sub(r'source_options={"truth_dir": "\1"}', message)
    message = _SOURCE_OPTION.sub(r'source_options={"\1": True}', message)
    return _OPTION.sub(lambda found: f'{found[1].replace("-", "_")}="{found[2]}"', message)


@contextmanager
def in_python_words() -> Iterator[None]:
    """Whatever a user can mend is raised with its message in `python_words`."""
    try:
        yield
    except _ERRORS as error:
        if len(error.args) == 1 and isinstance(error.args[0], str):
            error.args = (python_words(error.args[0]),)
        raise
