from __future__ import annotations

import struct

import numpy as np
import pytest

from mbps_dataset.errors import InputError
from mbps_dataset.sources.map_files import read_flo_values, read_pfm_values


VALUES = np.random.default_rng(0).normal(size=(3, 4, 3)).astype(np.float32)


@pytest.mark.parametrize("byte_order", ["<", ">"])
def test_three_channels_come_back_in_either_byte_order(tmp_path, byte_order):
    header = f"PF\n4 3\n{'-' * (byte_order == '<')}1.0\n".encode()
    (tmp_path / "a.pfm").write_bytes(header + VALUES[::-1].astype(f"{byte_order}f4").tobytes())
    read = read_pfm_values(tmp_path / "a.pfm", channels=3)
    assert read.dtype == np.float32 and np.array_equal(read, VALUES)
    with pytest.raises(InputError, match="a.pfm: not a one-channel PFM file; its header must be 'Pf'"):
        read_pfm_values(tmp_path / "a.pfm", channels=1)


def test_middlebury_files_come_back(tmp_path):
    (tmp_path / "a.flo").write_bytes(struct.pack("<fii", 202021.25, 4, 3) + VALUES[..., :2].astype("<f4").tobytes())
    read = read_flo_values(tmp_path / "a.flo")
    assert read.dtype == np.float32 and np.array_equal(read, VALUES[..., :2])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"a.flo: not a .flo file; it must begin with 202021.25 \('PIEH'\)"),
        (b"PIEH", "not a .flo file"),
        (struct.pack("<fii", 1.0, 4, 3) + bytes(96), "not a .flo file"),
        (struct.pack("<fii", 202021.25, 4, 3) + bytes(95), "expected 96 bytes for 4x3 pixels, but got 95"),
        (struct.pack("<fii", 202021.25, -4, -3) + bytes(96), "its header says -4x-3 pixels, and 1 to 16,000,000"),
        (struct.pack("<fii", 202021.25, 2**30, 2**30), "its header says .* pixels, and 1 to"),
        (struct.pack("<fii", 202021.25, 0, 3), "its header says 0x3 pixels"),
    ],
)
def test_damaged_files_are_refused_by_name(tmp_path, content, message):
    (tmp_path / "a.flo").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_flo_values(tmp_path / "a.flo")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match="none.pfm"):
        read_pfm_values(tmp_path / "none.pfm", channels=1)
