"""Making ``load_dataset("mbps-pseudo", …)`` work.

`datasets` runs no loading scripts any more and has no plug-in mechanism. Wrapping the one function that turns a name
into a builder is the route that scans no folder and gives clean cache paths; it is idempotent, touches no other name,
and ``MBPS_NO_REGISTER=1`` turns it off. `MBPSPseudo` itself needs none of it.
"""

from __future__ import annotations

import functools
import os
from typing import Any

import datasets.inspect
import datasets.load

from mbps_dataset._version import __version__


DATASET_NAME = "mbps-pseudo"


def register() -> None:
    """Teach `datasets` the name "mbps-pseudo"; a folder of that name in the working directory still wins."""
    original = datasets.load.dataset_module_factory
    if os.environ.get("MBPS_NO_REGISTER") or getattr(original, "_knows_mbps", False):
        return

    @functools.wraps(original)
    def factory(path: str, *args: Any, **kwargs: Any) -> datasets.load.DatasetModule:
        if path == DATASET_NAME and not os.path.isdir(path):
            return datasets.load.DatasetModule("mbps_dataset.hub.builder", __version__, {"dataset_name": DATASET_NAME})
        return original(path, *args, **kwargs)

    factory._knows_mbps = True  # type: ignore[attr-defined]
    datasets.load.dataset_module_factory = factory
    datasets.inspect.dataset_module_factory = factory
