"""Plain pickles of numpy arrays, as detectron2 keeps backbones in (``dino_RN50_pretrain_d2_format.pkl``), read without running code.

A pickle is a program that names functions to call. Here names of numpy arrays and of dictionaries mean something, and they
mean functions of this file, which look at bytes alone; any other name ends the reading before it is imported.
"""

from __future__ import annotations

import os
import pickle
import re
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mbps_dataset.errors import WeightsError
from mbps_dataset.models.checkpoints import StateDict
from mbps_dataset.reading.names import shown


_KINDS = re.compile(r"[fiu][1248]")


def read_pickled_arrays(path: str | os.PathLike[str]) -> StateDict:
    """The arrays of a pickled dictionary, or of its entry ``model``, as tensors by name.

    Raises `WeightsError` if there is no file, if it names anything but arrays, is damaged, or holds no named array.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"There is no checkpoint at {path}; give the path of the downloaded file.")
    try:
        with path.open("rb") as file:
            content = _ArrayReader(file, encoding="latin1").load()
    except _NotAllowedError as error:
        raise WeightsError(
            f"{path} wants to load {shown(str(error))}, and a pickle can run any code while it is read, so it is refused; only "
            "dictionaries of numpy arrays are read."
        ) from error
    except Exception as error:  # a damaged byte of a pickle leads to any of them
        raise WeightsError(
            f"{path} is damaged or no pickle of arrays ({type(error).__name__}); download it again."
        ) from error
    if isinstance(content, Mapping) and isinstance(content.get("model"), Mapping):
        content = content["model"]
    arrays = content.items() if isinstance(content, Mapping) else ()
    tensors = {str(name): torch.from_numpy(one.values) for name, one in arrays if isinstance(one, _Array)}
    if not tensors:
        raise WeightsError(f"{path} holds no named arrays (found {type(content).__name__}).")
    return tensors


class _NotAllowedError(pickle.UnpicklingError):
    """The pickle names what is not read."""


class _Dtype:
    """A number type by its code and byte order."""

    def __init__(self, code: Any = "", *_: Any) -> None:
        if not isinstance(code, str) or not _KINDS.fullmatch(code):
            raise _NotAllowedError(f"an array of {shown(code)}")
        self.type = np.dtype(code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.type = self.type.newbyteorder("<" if state[1] == "|" else state[1])


class _Array:
    """An array by shape, type and bytes."""

    values: NDArray[Any]

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, column_major, data = state
        self.fill(data, dtype, shape, "F" if column_major else "C")

    def fill(self, data: Any, dtype: Any, shape: Any, order: Any) -> _Array:
        if not isinstance(dtype, _Dtype):
            raise _NotAllowedError("an array without a number type")
        found = np.frombuffer(data.encode("latin1") if isinstance(data, str) else data, dtype.type)
        shaped = found.reshape(shape, order="F" if order == "F" else "C")
        self.values = shaped.astype(dtype.type.newbyteorder("="), order="C", copy=True)  # one that can be written to
        return self


def _from_buffer(data: Any, dtype: Any, shape: Any, order: Any) -> _Array:
    return _Array().fill(data, dtype, shape, order)


def _new_array(*_: Any) -> _Array:
    return _Array()


def _encode(text: str, _: str = "latin1") -> bytes:
    return text.encode("latin1")


_MEANINGS: dict[str, Any] = {
    "collections.OrderedDict": OrderedDict,
    "_codecs.encode": _encode,
    "numpy.ndarray": _Array,
    "numpy.dtype": _Dtype,
} | {f"numpy.{core}.multiarray._reconstruct": _new_array for core in ("core", "_core")}
_MEANINGS |= {f"numpy.{core}.numeric._frombuffer": _from_buffer for core in ("core", "_core")}


class _ArrayReader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """What a name means; nothing is imported for it."""
        try:
            return _MEANINGS[f"{module}.{name}"]
        except KeyError:
            raise _NotAllowedError(f"{module}.{name}") from None
