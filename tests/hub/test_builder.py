"""`load_dataset("mbps-pseudo", …)`: names, routes, cache identity."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import datasets
import numpy as np
import pytest

import mbps_dataset
from mbps_dataset.errors import CalibrationError, InputError, RecipeError, WeightsError
from mbps_dataset.named_recipes import RECIPES
from tests.conftest import SMALL_SCENES


PHOTOS = Path(__file__).parents[2] / "docs"
"""A folder that holds images, and no ground truth beside them."""


@pytest.fixture(scope="module")
def arguments(small_label_set, tmp_path_factory):
    """Arguments of `load_dataset` for the small demo set; networks have run already."""
    return {
        "path": "mbps-pseudo",
        "name": "demo",
        "source_options": SMALL_SCENES,
        "store": str(small_label_set.store.root),
        "cache_dir": str(tmp_path_factory.mktemp("cache")),
    }


def columns(dataset) -> list[dict]:
    rows = [mbps_dataset.decode(row) for row in dataset]
    return [
        {"id": r.image_id, "image": r.image, "semantic": r.semantic, "depth": r.depth, "instance": r.instance,
         "panoptic": r.panoptic, "segments": r.segments}
        for r in rows
    ]  # fmt: skip


def assert_equal(first: list[dict], second: list[dict]) -> None:
    assert len(first) == len(second)
    for one, other in zip(first, second):
        for key, value in one.items():
            assert np.array_equal(value, other[key]) if isinstance(value, np.ndarray) else value == other[key], key


def test_three_routes_give_equal_arrays(arguments):
    plain = datasets.load_dataset(**arguments, split="train")
    assert len(plain) == SMALL_SCENES["train"]
    streamed = datasets.load_dataset(**arguments, split="train", streaming=True)
    forked = datasets.load_dataset(
        **arguments | {"cache_dir": arguments["cache_dir"] + "2"}, split="train", num_proc=2
    )
    reference = columns(plain)
    assert_equal(reference, columns(streamed))
    assert_equal(reference, columns(forked))
    assert plain[0]["image"].size == (SMALL_SCENES["width"], SMALL_SCENES["height"])


def test_rows_equal_those_of_a_built_folder(arguments, built):
    plain = datasets.load_dataset(**arguments, split="validation")
    folder = datasets.load_dataset(str(built.root), split="validation", cache_dir=arguments["cache_dir"])
    assert folder.features == plain.features
    assert_equal(columns(plain), columns(folder))


def test_columns_are_what_the_card_says(arguments):
    features = datasets.load_dataset_builder(**arguments).info.features
    assert list(features) == [
        "image_id",
        "image",
        "semantic",
        "depth",
        "depth_scale",
        "instance",
        "panoptic",
        "segments_info",
        "preview",
    ]
    without = datasets.load_dataset_builder(**arguments, settings=["output.with_preview=false"]).info.features
    assert list(without) == list(features)[:-1]
    assert features["segments_info"].feature["category_id"].names[:2] == ["pseudo-class 0", "pseudo-class 1"]


def test_recipes_are_configurations():
    assert datasets.get_dataset_config_names("mbps-pseudo") == list(RECIPES)


def test_a_configuration_says_in_words_what_it_is(arguments):
    builder = datasets.load_dataset_builder(**arguments)
    for told in (builder.config.description, builder.info.description):
        assert "made by the recipe demo (tiny networks shipped with the package" in told
        assert "A recipe is the networks and all settings that made the labels." in told


def test_provenance_is_written_beside_the_cache(arguments):
    builder = datasets.load_dataset_builder(**arguments)
    datasets.load_dataset(**arguments, split="train")
    assert (Path(builder.cache_dir) / "labelset.json").is_file()


def test_identity_follows_content_and_nothing_else(arguments, tmp_path):
    def identity(**changes):
        return datasets.load_dataset_builder(**arguments | changes).hash

    base = identity()
    assert identity() == base
    assert identity(settings=["instances.min_area=500"]) == base  # a default spelled out
    assert identity(workers=7, cache_dir=str(tmp_path)) == base
    assert identity(settings=["instances.min_area=501"]) != base
    assert identity(source_options=SMALL_SCENES | {"train": 2}) != base
    assert identity(limit=1) != base


def test_identity_follows_files_not_their_place(small_label_set, tmp_path):
    from PIL import Image

    def identity(folder):
        config = mbps_dataset.MBPSConfig(name="demo", data_dir=str(folder), store=str(tmp_path / "store"))
        return config.open_label_set().identity

    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (64, 64), (9, 9, 9)).save(tmp_path / name / "a.png")
    first = identity(tmp_path / "one")
    assert identity(tmp_path / "two") == first
    os.utime(tmp_path / "one/a.png", ns=(5, 5))
    assert identity(tmp_path / "one") == first
    Image.new("RGB", (64, 64), (9, 9, 8)).save(tmp_path / "one/a.png")
    assert identity(tmp_path / "one") != first


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"name": "mbps"}, InputError, 'needs images: pass data_dir="FOLDER" .*, or source="scenes"'),
        (
            {"name": "mbps", "source": "scenes"},
            WeightsError,
            r'(?s)3 networks .*semantics.weights is not set: pass settings=\["semantics.weights=FOLDER_OR_HUB_ID"\]; .*'
            r'settings=\["depth.method=files", "depth.files=FOLDER"\]',
        ),
        (
            {"name": "mbps", "source": None, "source_options": None, "data_dir": str(PHOTOS)},
            CalibrationError,
            r'settings=\["naming.method=none"\], .*settings=\["naming.method=file", "naming.file=NAMES.json"\] .*'
            'source_options={"truth_dir": "DIR"}',
        ),
        (
            {"settings": ["semantics.crop=28", "semantics.stride=14"]},
            RecipeError,
            r'pass settings=\["semantics.crop=\d+"\]',
        ),
        ({"settings": ["instances.tau=1"]}, RecipeError, "Unknown setting 'instances.tau'"),
        ({"source_options": None, "data_dir": "/does/not/exist"}, InputError, "/does/not/exist does not exist"),
        ({"splits": ["test"]}, InputError, "No split 'test'"),
        ({"limit": 0}, InputError, "limit must be at least 1"),
        ({"depth_w": 1}, ValueError, "depth_w"),
    ],
)
def test_mistakes_are_named(arguments, changes, error, message):
    with pytest.raises(error, match=message) as said:
        datasets.load_dataset_builder(**arguments | changes)
    assert "--" not in str(said.value)


def test_another_process_in_another_folder_without_network(arguments, tmp_path):
    """The README's lines in a fresh interpreter whose network calls would hang: nothing is waited for."""
    script = f"""
        import socket
        def refuse(*_, **__): raise AssertionError("network was used")
        socket.socket.connect = refuse
        socket.getaddrinfo = refuse
        import mbps_dataset
        from datasets import load_dataset
        ds = load_dataset(**{arguments!r}, split="train")
        print(len(ds), ds[0]["image_id"])
    """
    environment = {k: v for k, v in os.environ.items() if k != "HF_HUB_OFFLINE"}
    environment["PYTHONPATH"] = os.pathsep.join(p for p in sys.path if p)
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], cwd=tmp_path, env=environment,
                          capture_output=True, text=True, timeout=1500)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "3 scene_2000000"


def run_without_the_package(script: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """A process that knows `datasets` and does not import this package; `cwd` must not hold its folder either."""
    return subprocess.run([sys.executable, "-c", textwrap.dedent(script)], cwd=cwd, capture_output=True, text=True,
                          timeout=1500, env=os.environ | {"HF_HUB_OFFLINE": "1"} | environment)  # fmt: skip


def test_without_the_import_no_cached_set_is_taken_for_the_name(arguments, tmp_path):
    cache = arguments["cache_dir"] + "-offline"
    cached = datasets.load_dataset(**arguments | {"cache_dir": cache}, split="train")
    place = Path(cached.cache_files[0]["filename"]).parent
    assert place.parent == Path(cache) / "mbps-pseudo" / "demo"
    script = f"""
        import datasets
        for recipe in ((), ("demo",)):
            try:
                print(datasets.load_dataset("mbps-pseudo", *recipe, cache_dir={cache!r}))
            except Exception as error:
                print(type(error).__name__, "mbps-pseudo" in str(error))
    """
    done = run_without_the_package(script, tmp_path)
    assert done.stdout.split("\n")[:2] == ["ConnectionError True"] * 2, done.stdout + done.stderr
    older = place.parent / "0.0.1" / place.name  # as versions before this one had it: what the test guards against
    older.parent.mkdir()
    place.rename(older)
    done = run_without_the_package(script, tmp_path)
    assert done.stdout.startswith("DatasetDict"), done.stdout + done.stderr


@pytest.fixture
def beside_a_finished_set(small_label_set, built, arguments, tmp_path, monkeypatch):
    """A working folder with the small demo set in build/demo, without its stages, and arguments that name no store."""
    shutil.copytree(built.root, tmp_path / "build/demo", ignore=shutil.ignore_patterns("stages"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MBPS_HOME", str(tmp_path / "home"))
    return arguments | {"store": None, "cache_dir": str(tmp_path / "cache")}


def test_a_finished_set_of_the_working_folder_is_not_made_again(beside_a_finished_set, arguments, caplog, tmp_path):
    caplog.set_level("INFO", "mbps_dataset")
    taken = datasets.load_dataset(**beside_a_finished_set)
    assert f"taken from {tmp_path}/build/demo, a finished set of the same identity" in caplog.text
    assert not list((tmp_path / "home").rglob("*.npz")), "something was labelled"
    for split in SMALL_SCENES.keys() & taken.keys():
        assert_equal(columns(taken[split]), columns(datasets.load_dataset(**arguments, split=split)))
    streamed = datasets.load_dataset(**beside_a_finished_set, split="train", streaming=True)
    assert_equal(columns(streamed), columns(taken["train"]))
    document = json.loads((Path(taken["train"].cache_files[0]["filename"]).parent / "labelset.json").read_text())
    assert document["recipe"]["name"] == "demo" and document["counts"]["train"]["rows"] == 3
    assert "files" not in document


def test_another_or_a_damaged_set_is_left_alone(beside_a_finished_set, tmp_path):
    def finished(**changes):
        return datasets.load_dataset_builder(**beside_a_finished_set | changes).finished

    assert finished() is not None
    assert finished(settings=["instances.min_area=501"]) is None and finished(limit=1) is None
    assert finished(store=str(tmp_path / "store")) is None
    (first, *_) = sorted((tmp_path / "build/demo/data").glob("*.parquet"))
    content = first.read_bytes()
    first.write_bytes(content[:-1] + b"x")
    assert finished() is None
    first.unlink()
    assert finished() is None
    first.write_bytes(content)
    assert finished() is not None


def test_the_first_call_says_where_its_work_is_kept(arguments, caplog, tmp_path):
    caplog.set_level("INFO", "mbps_dataset")
    datasets.load_dataset(**arguments | {"cache_dir": str(tmp_path)}, split="train")
    assert (
        f"labelling 5 images; what is done is kept in {arguments['store']} (store=FOLDER or MBPS_HOME" in caplog.text
    )
    caplog.clear()
    datasets.load_dataset(**arguments | {"cache_dir": str(tmp_path)}, split="train")
    assert caplog.text == ""


@pytest.mark.nightly
def test_num_proc_after_threaded_torch_does_not_hang(arguments, tmp_path):
    script = f"""
        import torch
        torch.set_num_threads(2)
        torch.nn.Conv2d(3, 32, 3)(torch.rand(2, 3, 256, 256))
        import mbps_dataset
        from datasets import load_dataset
        print(len(load_dataset(**{arguments | {"cache_dir": str(tmp_path / "c")}!r}, split="train", num_proc=2)))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=1500,
                          env=os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)})  # fmt: skip
    assert done.returncode == 0 and done.stdout.strip() == "3", done.stderr


def test_registering_twice_changes_nothing():
    before = datasets.load.dataset_module_factory
    mbps_dataset.register()
    assert datasets.load.dataset_module_factory is before
