"""Errors a user can do something about. Each message says what is wrong, with which file or key, and what to do.

Names of files, and what files hold, stand in messages; whoever chose them could break a line of a log, or send commands
to a terminal. So what is no visible character is written as Python writes it, ``\\n`` or ``\\x1b``.
"""

from __future__ import annotations

import re


_INVISIBLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


_FIRST, _LAST = 700, 290
"""Characters of a long message that are kept: which file it is about, and what to do."""


class _OneLine(ValueError):
    """An error whose message is one line of at most 1,000 visible characters."""

    def __init__(self, message: str) -> None:
        line = _INVISIBLE.sub(lambda found: repr(found[0])[1:-1], message)
        super().__init__(line if len(line) <= 1000 else f"{line[:_FIRST]} … {line[-_LAST:]}")


class InputError(_OneLine):
    """An image, label map or folder that cannot be used."""


class RecipeError(_OneLine):
    """A recipe or setting that does not exist or is out of range."""


class WeightsError(ValueError):
    """A checkpoint that is missing, unsafe to read, or does not fit the network."""


class CalibrationError(_OneLine):
    """Numbers over the whole set cannot be taken, for instance because ground truth is missing."""


class StoreError(OSError):
    """A stage result cannot be written or read back."""


class TrainingError(_OneLine):
    """Training that cannot go on: a loss that is not finite, or a device without memory for a batch."""


class WorkerError(RuntimeError):
    """A worker process that ended without finishing its images, for instance for want of memory."""


class PublishError(ValueError):
    """A label set that cannot be released: the tag exists, images may not be shown, or the Hub says no."""
