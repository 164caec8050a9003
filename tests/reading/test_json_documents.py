"""JSON that somebody else wrote: a document, or one clause that says what is wrong."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbps_dataset.reading.json_documents import parse_json, read_json
from tests.examples import examples


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"{", "not JSON at line 1 column 2: "),
        (b'{"a": 1} x', "not JSON at line 1 column 10: Extra data"),
        (b'{\n"a": 1,\n  1}', "not JSON at line 3 column 3: "),
        (b'{"name":"\xff"}', "no UTF-8 text at byte 9"),
        (b'{"a": NaN}', "NaN, which is no JSON number"),
        (b'{"a": -Infinity}', "-Infinity, which is no JSON number"),
        (b'{"a": 1, "a": 2}', "the key 'a' twice"),
        (b'{"a": "\\ud800"}', "the text '\\ud800', which is no Unicode"),
        (b'{"\\udfff": 1}', "which is no Unicode"),
        (b"[" * 40 + b"]" * 40, "nested more than 32 deep"),
        (b"[" * 200_000, "nested more than 32 deep"),
        (b"1" * 5000, "Exceeds the limit"),
    ],
)
def test_what_is_wrong_is_said(data: bytes, reason: str) -> None:
    with pytest.raises(ValueError) as said:
        parse_json(data)
    assert reason in str(said.value) and "\n" not in str(said.value)


def test_documents_are_read_as_they_are() -> None:
    assert parse_json(b'\xef\xbb\xbf{"a": [1, 2.5, null, true, "\xc3\xbc"]}') == {"a": [1, 2.5, None, True, "ü"]}
    assert str(parse_json(b'{"a": NaN}', nan=True)["a"]) == "nan"
    assert parse_json(b"[" * 32 + b"]" * 32)


@examples(100)
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=9))
def test_whatever_is_written_is_read(value: object) -> None:
    assert parse_json(json.dumps(value).encode()) == value


@examples(200)
@given(st.binary(max_size=60))
def test_any_bytes_are_a_document_or_a_value_error(data: bytes) -> None:
    try:
        parse_json(data)
    except ValueError as error:
        assert "\n" not in str(error)


def test_only_regular_files_of_a_known_size_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("[1, 2]")
    assert read_json(path, most_bytes=6) == [1, 2]
    with pytest.raises(ValueError, match="6 bytes, and 5 is the most"):
        read_json(path, most_bytes=5)
    os.mkfifo(tmp_path / "pipe.json")
    for never_ends in (tmp_path / "pipe.json", Path("/dev/zero")):
        with pytest.raises(OSError, match="Not a regular file"):
            read_json(never_ends, most_bytes=5)
    with pytest.raises(ValueError, match="more than 5 bytes, which is the most"):
        read_json("/proc/self/status", most_bytes=5)  # says that it has no bytes
    with pytest.raises(IsADirectoryError):
        read_json(tmp_path, most_bytes=10**6)
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "none", most_bytes=5)
