"""Stage results on disk: atomic, checked, safe."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mbps_dataset.errors import StoreError
from mbps_dataset.store import Failure, Store, digest_of, write_atomically


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


@settings(max_examples=40, deadline=None)
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


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_read_only_folder_is_one_clear_line_for_users(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError, match="cannot be written .*Everything written so far is kept"):
        write_atomically(tmp_path / "x", b"1")


def test_unwritable_place_is_one_clear_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written .*Everything written so far is kept"):
        write_atomically(tmp_path / "file" / "x", b"1")


def test_full_disk_is_one_clear_line():
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full on this system")
    with pytest.raises(StoreError, match="cannot be written"):
        write_atomically(full / "x", b"1")


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


def test_digest_depends_on_order_of_parts_but_not_of_keys():
    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1})
    assert digest_of(1, 2) != digest_of(2, 1)
    assert digest_of("a", "b") != digest_of("ab")
