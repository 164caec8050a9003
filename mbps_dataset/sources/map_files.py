"""Maps of numbers in files: PFM, Middlebury's ``.flo``, ``.npy`` and 16-bit PNG.

* PFM: "Pf" has one channel and "PF" three, rows from the bottom up, byte order by the sign of the scale;
* ``.flo``: little-endian, the number 202021.25, width and height as 32-bit integers, then (x, y) for each pixel row by row.

Values come as they are, first row on top; what they mean is said by their readers (`depth_files`, `flow_files`).
"""

from __future__ import annotations

import re
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mbps_dataset.errors import InputError
from mbps_dataset.reading.image_files import MAX_PIXELS
from mbps_dataset.reading.numpy_files import read_npy
from mbps_dataset.sources.files import read_map
from mbps_dataset.sources.images import read_bytes


_PFM_HEADER = re.compile(rb"(P[fF])\s+(\d{1,9})\s+(\d{1,9})\s+(-?\d+\.?\d*(?:[eE][-+]?\d+)?)\s")
_FLO_NUMBER = struct.pack("<f", 202021.25)


def read_pfm_values(path: str | Path, *, channels: int) -> NDArray[np.float32]:
    """A portable float map of 1 or 3 `channels` → float32 [H, W] or [H, W, 3]. Raises `InputError`."""
    data = read_bytes(Path(path), str(path))
    header, kind = _PFM_HEADER.match(data), {1: b"Pf", 3: b"PF"}[channels]
    if not header or header[1] != kind:
        word = {1: "one", 3: "three"}[channels]
        raise InputError(
            f"{path}: not a {word}-channel PFM file; its header must be '{kind.decode()}', width, height and scale."
        )
    width, height, scale = int(header[2]), int(header[3]), float(header[4])
    values = _values(data[header.end() :], width, height, channels, "<f4" if scale < 0 else ">f4", path)
    upright = values[::-1].astype(np.float32)
    return upright[..., 0] if channels == 1 else upright


def read_flo_values(path: str | Path) -> NDArray[np.float32]:
    """A ``.flo`` file → float32 [H, W, 2]. Raises `InputError`."""
    data = read_bytes(Path(path), str(path))
    if len(data) < 12 or not data.startswith(_FLO_NUMBER):
        raise InputError(f"{path}: not a .flo file; it must begin with 202021.25 ('PIEH'), width and height.")
    width, height = struct.unpack("<ii", data[4:12])
    return _values(data[12:], width, height, 2, "<f4", path).astype(np.float32)


def read_npy_values(path: str | Path, *, channels: int = 1) -> NDArray[np.float32]:
    """The one array of numbers in a ``.npy`` file, of at most `channels` times `MAX_PIXELS` → float32 of its shape.

    Raises `InputError`.
    """
    try:
        array = read_npy(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as one numpy array ({error}); save it with numpy.save.") from None
    if array.dtype.kind not in "fiu":
        raise InputError(f"{path}: expected one array of numbers, but got {array.dtype}.")
    if not 0 < array.size <= channels * MAX_PIXELS:
        raise InputError(f"{path}: {list(array.shape)} has no pixel, or more than {MAX_PIXELS:,}; scale it down.")
    return array.astype(np.float32)


def read_npy_plane(path: str | Path, what: str) -> NDArray[np.float32]:
    """An array [H, W] of `what`, also as [1, H, W], in a ``.npy`` file → float32 [H, W]. Raises `InputError`."""
    values = read_npy_values(path)
    plane = values[0] if values.ndim == 3 and len(values) == 1 else values
    if plane.ndim != 2:
        raise InputError(f"{path}: expected {what} as [H, W], but got {list(plane.shape)}.")
    return plane


def read_16_bit_values(path: str | Path, what: str) -> NDArray[np.float64]:
    """A PNG of one 16-bit channel that holds `what` → float64 [H, W] of 0 … 65535. Raises `InputError`."""
    values = read_map(Path(path))
    if values.dtype.itemsize < 2:
        raise InputError(f"{path}: {what} PNGs have 16 bits per pixel, but this has 8; it may be a picture of {what}.")
    return values.astype(np.float64)


def _values(data: bytes, width: int, height: int, channels: int, dtype: str, path: str | Path) -> NDArray[np.floating]:
    if not 0 < width * height <= MAX_PIXELS or width < 0:
        raise InputError(f"{path}: its header says {width}x{height} pixels, and 1 to {MAX_PIXELS:,} pixels are read.")
    wanted = 4 * width * height * channels
    if len(data) != wanted:
        raise InputError(f"{path}: expected {wanted} bytes for {width}x{height} pixels, but got {len(data)}.")
    return np.frombuffer(data, dtype=dtype).reshape(height, width, channels)
