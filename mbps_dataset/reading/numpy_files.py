"""Reading ``.npy`` and ``.npz`` files that somebody else wrote: plain arrays, their header checked before memory is taken.

numpy believes a header and takes the memory it asks for, which a file of 128 bytes can make a million terabytes; nothing
is unpickled (pickle can run any code while it is read). Errors are `ValueError`s with a clause that fits into brackets.
"""

from __future__ import annotations

import errno
import math
import os
import stat
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from mbps_dataset.reading.names import shown


MOST_BYTES = 1 << 30
"""Of one array in memory; the largest depth map of the data sets in use has 34 megabytes."""

_OF_A_HEADER = (ValueError, EOFError, SyntaxError, RecursionError, MemoryError, TypeError, tokenize.TokenError)
"""What numpy lets through of a damaged header, which it reads as Python text."""

_PICKLE = "it holds Python objects, which need pickle; pickle can run any code while it is read, so it is refused"


def read_npy(path: str | os.PathLike[str]) -> NDArray[Any]:
    """The one array of a ``.npy`` file.

    Raises `OSError` if it is not there, not a regular file or cannot be read, `ValueError` with the reason if it holds no
    plain array, or a larger one than its header says, than it has bytes, or than `MOST_BYTES`.
    """
    status = Path(path).stat()
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):  # a pipe or device may never end
        raise OSError(errno.EINVAL, "Not a regular file", str(path))
    with open(path, "rb") as stream:
        return _read_array(stream, status.st_size)


def read_npz(path: str | os.PathLike[str], *names: str) -> dict[str, NDArray[Any]]:
    """The arrays called `names` of an ``.npz`` file, those that are there; no others are unpacked.

    Raises as `read_npy`, and `KeyError` naming what there is if the file has none of them.
    """
    status = Path(path).stat()
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
        raise OSError(errno.EINVAL, "Not a regular file", str(path))
    found = {}
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
            for name in names:
                if f"{name}.npy" in sizes:
                    with archive.open(f"{name}.npy") as stream:
                        found[name] = _read_array(stream, sizes[f"{name}.npy"])
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, zlib.error) as error:
        raise ValueError(f"no readable .npz: {error}") from None
    if not found:
        held = ", ".join(sorted(name.removesuffix(".npy") for name in sizes)[:6]) or "nothing"
        raise KeyError(f"it holds {held}")
    return found


def _read_array(stream: IO[bytes], size: int) -> NDArray[Any]:
    """An array from a stream of `size` bytes. Raises `ValueError`."""
    if stream.read(2) == b"PK":
        raise ValueError("it holds several arrays, as .npz files do")
    stream.seek(0)
    try:
        version = npy.read_magic(stream)
        read_header = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}.get(version)
        if read_header is None:
            raise ValueError(f"version {version[0]}.{version[1]} of the .npy format is not read")
        shape, in_columns, dtype = read_header(stream)
    except _OF_A_HEADER as error:
        raise ValueError(f"no .npy array: {' '.join(str(error).split())[:200]}") from None
    if dtype.hasobject:
        raise ValueError(_PICKLE)
    if not dtype.itemsize:
        raise ValueError(f"no .npy array of numbers: its values, {shown(str(dtype))[1:-1]}, take no bytes")
    if any(side < 0 for side in shape):
        raise ValueError(f"no .npy array: its header says a shape of {shown(list(shape))}")
    count = math.prod(shape)
    wanted, there = count * dtype.itemsize, size - stream.tell()
    if wanted > there:
        raise ValueError(
            f"its header says {shown(list(shape))} of {shown(str(dtype))[1:-1]}, {wanted:,} bytes, but {there:,} follow"
        )
    if wanted > MOST_BYTES:
        raise ValueError(
            f"its header says {shown(list(shape))} of {shown(str(dtype))[1:-1]}, {wanted:,} bytes, and {MOST_BYTES:,} is the most"
        )
    data = stream.read(wanted)
    if len(data) != wanted:
        raise ValueError(
            f"its header says {shown(list(shape))} of {shown(str(dtype))[1:-1]}, {wanted:,} bytes, but {len(data):,} follow"
        )
    flat = np.frombuffer(data, dtype=dtype, count=count)
    return flat.reshape(shape, order="F" if in_columns else "C").copy()
