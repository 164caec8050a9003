"""Shared pieces: no network, one label set built once, and where data lies."""

from __future__ import annotations

import os


# Before anything imports huggingface_hub or datasets: tests never wait for a network that may not be there.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("TQDM_DISABLE", "1")
# Before anything imports torch: tests run in one process per core, whose threads would only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from dataclasses import replace  # noqa: E402
from pathlib import Path  # noqa: E402

import pytest  # noqa: E402

from mbps_dataset.labelling.labelling import LabelSet  # noqa: E402
from mbps_dataset.labelset.build import build  # noqa: E402
from mbps_dataset.labelset.folder import BuiltLabelSet  # noqa: E402
from mbps_dataset.named_recipes import get_recipe  # noqa: E402
from mbps_dataset.sources import ScenesSource  # noqa: E402
from mbps_dataset.store import Store  # noqa: E402
from tests.tiny import tiny_settings  # noqa: E402


SMALL_SCENES = {"train": 3, "validation": 2, "height": 128, "width": 256}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> Path:
    """A folder for photographs, depth files and tiny weights."""
    return tmp_path_factory.mktemp("inputs")


@pytest.fixture(scope="module")
def settings(inputs) -> list[str]:
    """Those files, written, and the settings that use them."""
    return tiny_settings(inputs)


@pytest.fixture(scope="session")
def small_store(tmp_path_factory) -> Path:
    """A store that the tests of this process share, so that networks run once per image."""
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="session")
def small_label_set(small_store) -> LabelSet:
    """The demo recipe on five small scenes, its store filled."""
    label_set = LabelSet(get_recipe("demo"), ScenesSource(**SMALL_SCENES), Store(small_store))
    label_set.prepare(worker_count=1, progress=False)
    return label_set


@pytest.fixture(scope="session")
def built(small_label_set, tmp_path_factory) -> BuiltLabelSet:
    """The same, written to a folder."""
    output = tmp_path_factory.mktemp("built") / "set"
    build(replace(small_label_set), output, progress=False)
    return BuiltLabelSet(output)
