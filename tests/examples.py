"""How many examples a property tries: the number written beside it, and ten times as many at night.

`tests/conftest.py` loads the profile. By day the examples are the same on every machine, so that a change is judged by
what it changes; at night they are drawn anew.
"""

from __future__ import annotations

import os

from hypothesis import settings


TIMES_AT_NIGHT = 10

settings.register_profile("normal", derandomize=True, deadline=None)
settings.register_profile("nightly", deadline=None, max_examples=100 * TIMES_AT_NIGHT)


def is_night() -> bool:
    """Whether ``MBPS_NIGHTLY`` asks for everything; ``pytest --nightly`` sets it."""
    return os.environ.get("MBPS_NIGHTLY", "") not in ("", "0")


def examples(number: int) -> settings:
    """Settings of a property that tries `number` examples by day; no deadline, since machines are slow under load."""
    return settings(max_examples=number * (TIMES_AT_NIGHT if is_night() else 1))
