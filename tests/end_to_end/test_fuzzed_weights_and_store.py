"""Mangled weights folders, checkpoints and files of the store: used, or refused in a few lines; see `fuzz_worker`."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save

from mbps_dataset.models.spidepth import SPIdepth
from mbps_dataset.store import Store
from mbps_dataset.store.results import Failure
from tests.end_to_end.fuzz_guard import Guard, fuzzed
from tests.end_to_end.mangling import documents, either, mangled, mangled_npy, mangled_safetensors
from tests.end_to_end.test_fuzzed_segmentations import npy, npz
from tests.models.cause.cause_weights import tiny_network
from tests.models.spidepth.reference_weights import TINY


WEIGHTS, CONFIG = "model.safetensors", "config.json"


@pytest.fixture(scope="session")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Folders of tiny weights by kind of network."""
    root = tmp_path_factory.mktemp("networks")
    tiny_network().save_pretrained(root / "cause")
    SPIdepth(TINY).save_pretrained(root / "spidepth")
    return {name: root / name for name in ("cause", "spidepth")}


@given(network=st.sampled_from(["cause", "spidepth"]), data=st.data())
@fuzzed
def test_configurations(fuzz_guard: Guard, networks: Mapping[str, Path], network: str, data: st.DataObject):
    good = (networks[network] / CONFIG).read_bytes()
    changed = data.draw(st.one_of(documents(json.loads(good)), mangled(good)))
    fuzz_guard.check(
        "weights", {f"weights/{CONFIG}": changed}, [CONFIG, "/weights"], arguments=network,
        templates=[(networks[network], "weights")],
    )  # fmt: skip


@given(network=st.sampled_from(["cause", "spidepth"]), data=st.data())
@fuzzed
def test_tensors(fuzz_guard: Guard, networks: Mapping[str, Path], network: str, data: st.DataObject):
    """Files of many tensors whose header is changed, cut, or says other sizes."""
    changed = data.draw(mangled_safetensors((networks[network] / WEIGHTS).read_bytes()))
    fuzz_guard.check(
        "weights", {f"weights/{WEIGHTS}": changed}, [WEIGHTS, "/weights"], arguments=network,
        templates=[(networks[network], "weights")],
    )  # fmt: skip


def torch_file(legacy: bool) -> bytes:
    stream = io.BytesIO()
    content = {"state_dict": {"module.a": torch.ones(3, 2), "module.b": torch.zeros(1)}, "epoch": 3}
    torch.save(content, stream, _use_new_zipfile_serialization=not legacy)
    return stream.getvalue()


CHECKPOINTS = {
    "a.pth": (torch_file(legacy=False), mangled), "old.pth": (torch_file(legacy=True), mangled),
    "a.safetensors": (save({"a": torch.ones(3, 2), "b": torch.zeros(1)}), mangled_safetensors),
    "a.npy": (npy(np.ones((3, 2), np.float32)), mangled_npy),
}  # fmt: skip


@given(name=st.sampled_from(sorted(CHECKPOINTS)), data=st.data())
@fuzzed
def test_checkpoints(fuzz_guard: Guard, name: str, data: st.DataObject):
    good, changed = CHECKPOINTS[name]
    fuzz_guard.check("checkpoint", {name: data.draw(either(changed, good=good))}, [name], arguments=name)


NAMES = {"cluster_to_class": [0, 1, 255, 18]}
CENTROIDS = np.eye(4, 6, dtype=np.float32)
OF_CLUSTERS = {
    "c.npz": (npz(centroids=CENTROIDS, cluster_to_class=np.array([0, 1, 255, 18])), mangled),
    "names.npz": (npz(cluster_to_class=np.array([0, 1, 255, 18], np.uint8)), mangled),
    "names.json": (json.dumps(NAMES).encode(), lambda good: documents(NAMES)),
}


@given(name=st.sampled_from(sorted(OF_CLUSTERS)), data=st.data())
@fuzzed
def test_centroids_and_names_of_clusters(fuzz_guard: Guard, name: str, data: st.DataObject):
    good, changed = OF_CLUSTERS[name]
    fuzz_guard.check("centroids", {name: data.draw(either(changed, good=good))}, [name], arguments=name)


RESULT = {"depth": np.arange(12, dtype=np.float32).reshape(3, 4), "scale": np.array([2], np.int16)}


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    kept = Store(tmp_path_factory.mktemp("store"))
    kept.put("depth", "k" * 64, "p0", "d" * 64, RESULT)
    kept.put_json("note.json", {"value": [1, 2.5, "ü"]})
    kept.record_failure(Failure("p0", "depth", "p0: no such file"))
    return kept.root


@given(data=st.data())
@fuzzed
def test_files_of_the_store(fuzz_guard: Guard, store: Path, data: st.DataObject):
    """Damage reads as missing, never as another result."""
    name = data.draw(st.sampled_from(sorted(path.relative_to(store) for path in store.rglob("*.*"))))
    good = (store / name).read_bytes()
    changed = data.draw(documents(json.loads(good)) if name.suffix == ".json" else mangled(good))
    fuzz_guard.check("store", {f"store/{name}": changed}, [], arguments=RESULT, templates=[(store, "store")])
