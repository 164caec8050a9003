"""Making ``load_dataset("mbps-pseudo", …)`` work.

`datasets` runs no loading scripts any more and has no plug-in mechanism. Wrapping the one function that turns a name
into a builder is the route that scans no folder and gives clean cache paths; it is idempotent, touches no other name,
and ``MBPS_NO_REGISTER=1`` turns it off. `MBPSPseudo` itself needs none of it.

Importing `datasets` takes longer than most commands of this package, so nothing here imports it: where it is loaded
already the name is taught at once, otherwise right after somebody imports it. A place in ``sys.meta_path`` is what the
standard library offers for "after an import"; it is given up as soon as `datasets` has been loaded.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from mbps_dataset._version import __version__


DATASET_NAME = "mbps-pseudo"


def register() -> None:
    """Teach `datasets` the name "mbps-pseudo", now or as soon as it is imported.

    A folder of that name in the working directory still wins. Without `datasets` nothing happens.
    """
    if os.environ.get("MBPS_NO_REGISTER"):
        return
    if "datasets" in sys.modules:
        _teach()
    elif not any(isinstance(finder, _AfterDatasets) for finder in sys.meta_path):
        sys.meta_path.insert(0, _AfterDatasets())


def _teach() -> None:
    """Wrap `dataset_module_factory` where `datasets` looks it up, once."""
    try:  # waits for another thread that is in the middle of importing it
        import datasets.inspect
        import datasets.load
    except ImportError:  # switched off (None in sys.modules), or another module of that name
        return
    original = datasets.load.dataset_module_factory
    if getattr(original, "_knows_mbps", False):
        return

    @functools.wraps(original)
    def factory(path: str, *args: Any, **kwargs: Any) -> datasets.load.DatasetModule:
        if path == DATASET_NAME and not os.path.isdir(path):
            return datasets.load.DatasetModule("mbps_dataset.hub.builder", __version__, {"dataset_name": DATASET_NAME})
        return original(path, *args, **kwargs)

    factory._knows_mbps = True  # type: ignore[attr-defined]
    datasets.load.dataset_module_factory = factory
    datasets.inspect.dataset_module_factory = factory


class _AfterDatasets(MetaPathFinder):
    """Finds `datasets` as everybody else does, and has it taught once it is loaded."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "datasets":
            return None
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            spec = None if finder is self or find is None else find(fullname, path, target)
            if spec is not None:
                if spec.loader is not None:  # None: a bare folder of that name
                    spec.loader = _TeachingLoader(spec.loader, self)
                return spec
        return None


class _TeachingLoader(Loader):
    """Loads a module with its own loader, and then is gone without a trace."""

    def __init__(self, loader: Loader, finder: _AfterDatasets) -> None:
        self._loader, self._finder = loader, finder

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        if self._finder in sys.meta_path:
            sys.meta_path.remove(self._finder)
        _teach()
