"""Arrays that somebody else wrote: no header is believed before its bytes are there."""

from __future__ import annotations

import io
import os
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mbps_dataset.reading import numpy_files
from mbps_dataset.reading.numpy_files import read_npy, read_npz
from tests.examples import examples


def header(shape: str, descr: str = "'<f4'", magic: bytes = b"\x93NUMPY\x01\x00") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117).encode() + b"\n"
    return magic + len(text).to_bytes(2, "little") + text


HEADERS = {
    "a shape of 1e18": (header("(1000000000000000000,)"), "its header says [1000000000000000000] of float32, 4,"),
    "a shape whose product wraps": (header("(4294967296, 4294967296, 4294967296)"), "but 12 follow"),
    "a gigabyte": (header("(300000000,)"), "1,200,000,000 bytes, but 12 follow"),
    "one row too many": (header("(2, 2)"), "its header says [2, 2] of float32, 16 bytes, but 12 follow"),
    "a negative side": (header("(-1, 3)"), "no .npy array"),
    "objects": (header("(1,)", "'|O'"), "it holds Python objects, which need pickle"),
    "no type": (header("(1,)", "'nonsense'"), "no .npy array: "),
    "no shape": (header("'x'"), "no .npy array: "),
    "code": (header("__import__('os').system('true')"), "no .npy array: "),
    "version 9": (header("(1,)", magic=b"\x93NUMPY\x09\x00"), "no .npy array: "),
    "no magic": (b"hello, this is no array", "no .npy array: "),
    "nothing": (b"", "no .npy array: "),
    "a torn header": (header("(3,)")[:50], "no .npy array: "),
    "values of no bytes": (header("(30, 1000000, 30, 30, 30)", "'|V0'"), "its values, |V0, take no bytes"),
    "brackets without end": (header("(" * 80), "no .npy array: "),
    "brackets and zeros": (header("(((\0"), "no .npy array: "),
    "several arrays": (b"PK\x03\x04", "it holds several arrays"),
}


@pytest.mark.parametrize("kind", HEADERS)
def test_a_header_that_lies_takes_no_memory(kind: str, tmp_path: Path) -> None:
    data, reason = HEADERS[kind]
    (tmp_path / "a.npy").write_bytes(data + (bytes(12) if len(data) == 128 else b""))
    tracemalloc.start()
    with pytest.raises(ValueError) as said:
        read_npy(tmp_path / "a.npy")
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert reason in str(said.value) and "\n" not in str(said.value) and len(str(said.value)) < 300
    assert most < 1_000_000


def test_a_large_file_of_holes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numpy_files, "MOST_BYTES", 1000)
    np.save(tmp_path / "a.npy", np.zeros(251, np.float32))
    with pytest.raises(ValueError, match="1,004 bytes, and 1,000 is the most"):
        read_npy(tmp_path / "a.npy")


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.npy")
    for read in (read_npy, lambda path: read_npz(path, "a")):
        with pytest.raises(OSError, match="Not a regular file"):
            read(tmp_path / "pipe.npy")
        with pytest.raises(FileNotFoundError):
            read(tmp_path / "none.npy")


@examples(60)
@given(arrays.arrays(st.sampled_from([np.float32, np.float64, np.uint8, np.int64, np.bool_]),
                     arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)), st.booleans())  # fmt: skip
def test_what_numpy_saves_is_read(tmp_path_factory, array: np.ndarray, columns: bool) -> None:
    folder = tmp_path_factory.mktemp("arrays")
    array = np.asfortranarray(array) if columns else array
    np.save(folder / "a.npy", array)
    np.savez_compressed(folder / "a.npz", a=array, other=array)
    for read in (read_npy(folder / "a.npy"), read_npz(folder / "a.npz", "a", "absent")["a"]):
        assert read.dtype == array.dtype and np.array_equal(read, array, equal_nan=array.dtype.kind == "f")


def test_packed_arrays_are_checked_too(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", header("(1000000000000000000,)"))
        archive.writestr("bomb.npy", header("(500000000,)") + bytes(10**6))
    for name in ("a", "bomb"):
        with pytest.raises(ValueError, match="follow"):
            read_npz(path, name)
    with pytest.raises(KeyError, match="it holds a, bomb"):
        read_npz(path, "b")
    for content in (b"PK\x03\x04 torn", b"", path.read_bytes()[:-30]):
        (tmp_path / "b.npz").write_bytes(content)
        with pytest.raises(ValueError, match="no readable .npz"):
            read_npz(tmp_path / "b.npz", "a")


@examples(150)
@given(st.data())
def test_any_damage_is_an_array_or_a_value_error(tmp_path_factory, data) -> None:
    stream = io.BytesIO()
    np.savez_compressed(stream, a=np.arange(6.0).reshape(2, 3))
    content = bytearray(stream.getvalue())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path = tmp_path_factory.mktemp("damage") / "a.npz"
    path.write_bytes(content)
    try:
        read_npz(path, "a")
    except (ValueError, KeyError, OSError) as error:
        assert "\n" not in str(error)
