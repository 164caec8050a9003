"""The one hash."""

from __future__ import annotations

import hashlib

import pytest

from mbps_dataset.store import digest_of, file_digest


def test_file_digests(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert file_digest(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    (tmp_path / "long").write_bytes(bytes(3 << 20))
    assert file_digest(str(tmp_path / "long")) == hashlib.sha256(bytes(3 << 20)).hexdigest()
    for path in (tmp_path / "b", tmp_path):
        with pytest.raises(OSError):
            file_digest(path)


def test_digest_depends_on_order_of_parts_but_not_of_keys():
    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1})
    assert digest_of(1, 2) != digest_of(2, 1)
    assert digest_of("a", "b") != digest_of("ab")
