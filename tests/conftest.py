"""Shared pieces: no network, one label set built once, and what runs only at night.

The package is imported inside the fixtures, so that tests of the equations need numpy and torch alone.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest


# Before anything imports huggingface_hub or datasets: tests never wait for a network that may not be there.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("TQDM_DISABLE", "1")
# Before anything imports torch: tests run in one process per core, whose threads would only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

if TYPE_CHECKING:
    from mbps_dataset.labelling.labelling import Labelling
    from mbps_dataset.labelset.folder import LabelSetFolder
    from tests.end_to_end.fuzz_guard import Guard

CHECKOUT = Path(__file__).parents[1]
SMALL_SCENES = {"train": 3, "validation": 2, "height": 128, "width": 256}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--nightly", action="store_true", help="also run what takes long, and properties on more examples"
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--nightly"):
        os.environ["MBPS_NIGHTLY"] = "1"  # seen by the processes of pytest-xdist too
    from hypothesis import settings as hypothesis_settings

    from tests.examples import is_night

    hypothesis_settings.load_profile("nightly" if is_night() else "normal")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    from tests.examples import is_night

    for item in items:
        if item.get_closest_marker("nightly") and not is_night():
            item.add_marker(pytest.mark.skip(reason="runs at night: make nightly, --nightly or MBPS_NIGHTLY=1"))


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> Path:
    """A folder for photographs, depth files and tiny weights."""
    return tmp_path_factory.mktemp("inputs")


@pytest.fixture(scope="module")
def settings(inputs) -> list[str]:
    """Those files, written, and the settings that use them."""
    from tests.tiny import tiny_settings

    return tiny_settings(inputs)


@pytest.fixture(scope="session")
def small_store(tmp_path_factory) -> Path:
    """A store that the tests of this process share, so that networks run once per image."""
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="session")
def small_label_set(small_store) -> Labelling:
    """The demo recipe on five small scenes, its store filled."""
    from mbps_dataset.labelling.labelling import Labelling
    from mbps_dataset.named_recipes import get_recipe
    from mbps_dataset.sources import ScenesSource
    from mbps_dataset.store import Store

    label_set = Labelling(get_recipe("demo"), ScenesSource(**SMALL_SCENES), Store(small_store))
    label_set.prepare(worker_count=1, progress=False)
    return label_set


@pytest.fixture(scope="session")
def built(small_label_set, tmp_path_factory) -> LabelSetFolder:
    """The same, written to a folder."""
    from mbps_dataset.labelset.build import build
    from mbps_dataset.labelset.folder import LabelSetFolder

    output = tmp_path_factory.mktemp("built") / "set"
    build(replace(small_label_set), output, progress=False)
    return LabelSetFolder(output)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Where `named` and `clusters` lie."""
    return tmp_path_factory.mktemp("random")


@pytest.fixture(scope="module")
def named(folder: Path) -> LabelSetFolder:
    """Random labels of the 19 named classes."""
    from tests.formats.label_sets import random_label_set

    return random_label_set(folder / "named")


@pytest.fixture(scope="module")
def clusters(folder: Path) -> LabelSetFolder:
    """Random labels of 27 clusters without names."""
    from tests.formats.label_sets import random_label_set

    return random_label_set(folder / "clusters", classes=27, named=False)


@pytest.fixture
def evaluate_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A cache folder for `evaluate.load`, which keeps copies of modules by a name that it imports once per process."""
    evaluate = pytest.importorskip("evaluate")
    for name in [name for name in sys.modules if name.split(".")[0] == "evaluate_modules"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(CHECKOUT), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setattr(evaluate.config, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.syspath_prepend(str(tmp_path / "modules"))
    return str(tmp_path / "cache")


@pytest.fixture(scope="session")
def fuzz_guard(tmp_path_factory) -> Iterator[Guard]:
    """The process that reads mangled files, shared by the tests of this process."""
    from tests.end_to_end.fuzz_guard import Guard

    guard = Guard(tmp_path_factory.mktemp("fuzz"))
    yield guard
    guard.close()
