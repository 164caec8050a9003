"""Stage results on disk: atomic, checked, safe."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbps_dataset.store import (
    Failure,
    Store,
)
from tests.examples import examples


ARRAYS = {"labels": np.arange(12, dtype=np.uint8).reshape(3, 4), "depth": np.linspace(0, 1, 5, dtype=np.float32)}


def put(store: Store, image_id: str = "a", digest: str = "d") -> Path:
    store.put("depth", "k" * 64, image_id, digest, ARRAYS)
    return store.path("depth", "k" * 64, image_id, digest)


def test_round_trip(tmp_path):
    store = Store(tmp_path)
    assert store.get("depth", "k" * 64, "a", "d") is None
    put(store)
    back = store.get("depth", "k" * 64, "a", "d")
    assert back is not None and set(back) == set(ARRAYS)
    for name, array in ARRAYS.items():
        assert np.array_equal(back[name], array) and back[name].dtype == array.dtype


def test_other_content_of_the_same_image_is_another_result(tmp_path):
    store = Store(tmp_path)
    put(store)
    assert store.get("depth", "k" * 64, "a", "other") is None
    assert store.get("depth", "j" * 64, "a", "d") is None


@examples(40)
@given(st.data())
def test_any_damage_reads_as_missing(tmp_path_factory, data):
    store = Store(tmp_path_factory.mktemp("store"))
    path = put(store)
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(bytes(content))
    assert store.get("depth", "k" * 64, "a", "d") is None


ADDRESSES = [("depth", "k" * 64, "a", "d"), ("depth", "k" * 64, "b", "d"), ("depth", "k" * 64, "a", "e"),
             ("depth", "j" * 64, "a", "d"), ("codes", "k" * 64, "a", "d")]  # fmt: skip


@pytest.mark.parametrize("other", ADDRESSES[1:])
def test_files_that_changed_places_read_as_missing(tmp_path, other):
    """An image, its content, a stage or a key: each is part of what a file vouches for."""
    store = Store(tmp_path)
    for address in (ADDRESSES[0], other):
        store.put(*address, ARRAYS)
    first, second = (store.path(*address) for address in (ADDRESSES[0], other))
    contents = first.read_bytes(), second.read_bytes()
    second.write_bytes(contents[0])
    assert not store.holds(*other) and store.get(*other) is None and store.holds(*ADDRESSES[0])
    first.write_bytes(contents[1])
    assert not store.holds(*ADDRESSES[0])
    store.put(*other, ARRAYS)
    assert store.holds(*other)


def test_a_key_counts_whole_though_its_folder_is_short(tmp_path):
    store, address = Store(tmp_path), ("depth", "k" * 63 + "l", "a", "d")
    put(store)
    assert store.path(*address) == store.path(*ADDRESSES[0]) and not store.holds(*address)


def test_documents_that_changed_places_read_as_missing(tmp_path):
    store = Store(tmp_path)
    store.put_json("calibration/x.json", {"a": 1})
    (tmp_path / "calibration/x.json").rename(tmp_path / "calibration/y.json")
    assert store.get_json("calibration/y.json") is None


def test_files_of_an_earlier_form_read_as_missing(tmp_path):
    store = Store(tmp_path)
    path = put(store)
    path.write_bytes(path.read_bytes().replace(b"mbps-stage-2", b"mbps-stage-1", 1))
    assert not store.holds("depth", "k" * 64, "a", "d")


@pytest.mark.parametrize("image_id", ["../../etc/passwd", "a/b c/ü", "..", "", "x" * 400, "C:\\con", "日本"])
def test_no_name_leaves_the_store(tmp_path, image_id):
    store = Store(tmp_path / "store")
    path = put(store, image_id)
    assert path.resolve().is_relative_to((tmp_path / "store").resolve())
    assert store.get("depth", "k" * 64, image_id, "d") is not None


def test_names_that_read_alike_stay_apart(tmp_path):
    store = Store(tmp_path)
    assert store.path("s", "k", "a/b", "d") != store.path("s", "k", "a_b", "d")


def test_nothing_half_written_is_left(tmp_path):
    put(Store(tmp_path))
    assert not [p for p in tmp_path.rglob("*") if p.name.endswith(".tmp")]


def test_failures_are_remembered_until_cleared(tmp_path):
    store = Store(tmp_path)
    assert list(store.failures()) == []
    store.record_failure(Failure("b/1", "image", "b/1: truncated"))
    store.record_failure(Failure("a", "depth", "a: no"))
    store.record_failure(Failure("a", "depth", "a: still no"))
    assert [(f.image_id, f.reason) for f in store.failures()] == [("a", "a: still no"), ("b/1", "b/1: truncated")]
    store.clear_failure("a")
    store.clear_failure("never there")
    assert [f.image_id for f in store.failures()] == ["b/1"]


def test_damaged_json_reads_as_missing(tmp_path):
    store = Store(tmp_path)
    store.put_json("calibration/x.json", {"a": 1})
    assert store.get_json("calibration/x.json") == {"a": 1}
    (tmp_path / "calibration/x.json").write_text('{"a"')
    assert store.get_json("calibration/x.json") is None


@examples(30)
@given(st.data())
def test_any_changed_value_of_a_document_reads_as_missing(tmp_path_factory, data):
    """JSON that still parses, with another number in it, is damage too."""
    store = Store(tmp_path_factory.mktemp("store"))
    store.put_json("a.json", {"ratio": 0.125, "names": ["road", "sky"], "nested": {"b": [1, None, True]}})
    text = bytearray((store.root / "a.json").read_bytes())
    place = data.draw(st.integers(0, len(text) - 1))
    text[place] ^= data.draw(st.integers(1, 255))
    (store.root / "a.json").write_bytes(bytes(text))
    found = store.get_json("a.json")
    assert found is None or found == {"ratio": 0.125, "names": ["road", "sky"], "nested": {"b": [1, None, True]}}


@pytest.mark.parametrize("text", ["[]", "3", "null", "{}", '{"a": 1}'])
def test_documents_without_checksum_read_as_missing(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    assert Store(tmp_path).get_json("a.json") is None


def test_only_one_holds_a_lock(tmp_path):
    code = f"""
from pathlib import Path
from mbps_dataset.store import Store
print("asks", flush=True)
with Store({str(tmp_path)!r}).alone("x"):
    print("held", Path({str(tmp_path / "leaves")!r}).exists())
"""
    with Store(tmp_path).alone("x"):
        waiting = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        assert waiting.stdout is not None and waiting.stdout.readline() == "asks\n"
        with Store(tmp_path).alone("y"):
            time.sleep(0.3)  # time to take the lock, if it could be taken
        (tmp_path / "leaves").touch()
    assert waiting.communicate(timeout=1500)[0] == "held True\n"


def test_where_there_are_no_locks_nobody_waits(tmp_path):
    (tmp_path / "file").write_text("")
    with Store(tmp_path / "file").alone("x"), Store(tmp_path / "file").alone("x"):
        pass


def test_a_folder_in_the_way_is_moved_aside_with_what_it_holds(tmp_path):
    store = Store(tmp_path)
    path = put(store)
    path.unlink()
    path.mkdir()
    (path / "thesis.tex").write_text("mine")
    assert store.get("depth", "k" * 64, "a", "d") is None and not store.holds("depth", "k" * 64, "a", "d")
    put(store)
    assert store.holds("depth", "k" * 64, "a", "d")
    assert [p.read_text() for p in tmp_path.rglob("thesis.tex")] == ["mine"]
