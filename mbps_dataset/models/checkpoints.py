"""Reading foreign checkpoints safely, and saying in one message why one does not fit a network.

Decisions made here, all ours:

* A ``.pth`` file is read with ``weights_only=True``: tensors, numbers and strings only. A file that needs pickle can
  run any code while it is read, so it is refused, with the name of what it wanted to load. Checkpoints of trainers hold
  settings and callbacks beside the tensors: on request an empty dictionary takes the place of every such object, so that
  none of its code is even imported.
* ``.npy`` is read without pickle for the same reason; ``.safetensors`` holds nothing but tensors.
* Published files wrap their tensors in different ways: a ``state_dict`` or ``model`` entry around them, a ``module.``
  in front of every name (left by data-parallel training), numbers beside them. The wrapping is taken off; the names
  of the tensors themselves are never changed here.
* Weights are finite floating-point numbers. NaN and whole numbers load without a word (transformers casts them), and
  such a network labels every image, wrongly; so they are refused by tensor and file, once, when a network is loaded.
* A checkpoint that does not fit is described at once (missing, unexpected and wrongly shaped tensors together), not
  one error per run, with the configuration that would fit if its shapes reveal one.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import re
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file

from mbps_dataset.errors import WeightsError
from mbps_dataset.reading.names import shown
from mbps_dataset.reading.numpy_files import read_npy


StateDict = dict[str, torch.Tensor]
"""Tensors by name, as `torch.nn.Module.state_dict` returns them."""

WRAPPERS = ("state_dict", "model", "model_state_dict")
"""Entries under which published checkpoints keep their tensors."""

PathLike = str | os.PathLike[str]

_SHOWN = 6
_DAMAGED_PICKLE = re.compile(r"Unsupported operand \d|was truncated|exhausted before")
"""In messages of torch's reader about bytes that no pickle has."""
_ZIP, _PICKLE = b"PK\x03\x04", b"\x80"
"""What files of torch begin with, since 1.6 and before."""


def read_state_dict(path: PathLike, *, leave_out_objects: bool = False) -> StateDict:
    """The tensors of a ``.safetensors`` file or of a ``.pth`` / ``.pt`` / ``.ckpt`` / ``.bin`` file, on the CPU, by name.

    `leave_out_objects` reads the tensors of a file that holds other objects too (a trainer's checkpoint), and none of these.
    Raises `WeightsError` if the file does not exist, is damaged, holds no named tensors, or needs pickle to be read.
    """
    path = _existing(path)
    if path.suffix == ".safetensors":
        try:
            return load_file(str(path))
        except (SafetensorError, OSError) as error:
            reason = shown(str(error), 200)[1:-1]
            raise WeightsError(f"{path} is not a readable safetensors file ({reason}); download it again.") from error
    return _named_tensors(_read_torch(path, leave_out_objects=leave_out_objects), path)


def read_array(path: PathLike) -> NDArray[Any]:
    """The one array of a ``.npy`` file. Raises `WeightsError` if it is missing, damaged, or holds Python objects."""
    path = _existing(path)
    try:
        return read_npy(path)
    except (ValueError, OSError) as error:
        raise WeightsError(
            f"{path} is damaged or no .npy file ({error}). Save a plain array of numbers with numpy.save and try again."
        ) from error


def state_dict_digest(state: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 over names, dtypes, shapes and values of tensors in order of their names, 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)};".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().tobytes() if tensor.numel() else b"")
    return digest.hexdigest()


@dataclass(frozen=True)
class Mismatch:
    """How the tensors of a checkpoint differ from those a network expects.

    `missing` and `unexpected` are names; `wrong_shape` maps a name to (shape found, shape expected).
    """

    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    wrong_shape: dict[str, tuple[tuple[int, ...], tuple[int, ...]]]

    def __bool__(self) -> bool:
        return bool(self.missing or self.unexpected or self.wrong_shape)

    def describe(self) -> str:
        """One line per kind of difference, each naming at most six tensors; empty if there is none."""
        shapes = [
            f"{name} is {list(found)}, expected {list(want)}" for name, (found, want) in self.wrong_shape.items()
        ]
        parts = (("missing", self.missing), ("unexpected", self.unexpected), ("wrong shape", shapes))
        return "\n".join(f"  {kind} ({len(items)}): {_listing(items)}" for kind, items in parts if items)


def compare(state: Mapping[str, torch.Tensor], expected: Mapping[str, tuple[int, ...]]) -> Mismatch:
    """How the shapes of `state` differ from `expected`, a mapping from tensor name to shape."""
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    return Mismatch(
        missing=tuple(name for name in expected if name not in shapes),
        unexpected=tuple(name for name in shapes if name not in expected),
        wrong_shape={
            name: (shapes[name], tuple(shape))
            for name, shape in expected.items()
            if name in shapes and shapes[name] != tuple(shape)
        },
    )


def shapes_of(module: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    """Shape of every tensor in a module's state dict, by name: what `compare` and `require_match` expect."""
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}


def require_match(
    state: Mapping[str, torch.Tensor],
    expected: Mapping[str, tuple[int, ...]],
    *,
    source: str,
    network: str,
    fits: str = "",
) -> None:
    """Raise one `WeightsError` that lists everything in which `state` differs from `expected`, or as `require_finite`.

    `source` names the checkpoint and `network` the class it should fit; `fits` says which configuration would fit, if
    that is known (see the ``…_configuration_of`` functions beside the networks).
    """
    mismatch = compare(state, expected)
    if mismatch:
        advice = (
            f"\nA configuration that would fit: {fits}." if fits else "\nNo configuration of this class would fit."
        )
        raise WeightsError(f"{source} does not fit {network}:\n{mismatch.describe()}{advice}")
    require_finite(state, source=source)


def require_finite(state: Mapping[str, torch.Tensor], *, source: str) -> None:
    """Raises `WeightsError` naming `source` and the first tensor that is not finite floating-point numbers in float32.

    Counters (whole numbers without a dimension, as batch normalisation has them) are left alone.
    """
    for name, tensor in state.items():
        if tensor.ndim == 0 and not tensor.is_floating_point() and not tensor.is_complex():
            continue
        if not tensor.is_floating_point():
            raise WeightsError(
                f"{source}: the tensor {name} holds {str(tensor.dtype).removeprefix('torch.')}, where floating-point "
                "numbers are expected; a network made of them labels everything wrongly. Download or convert it again."
            )
        if tensor.is_meta:  # a shape without values
            continue
        values = tensor.detach().float()
        if torch.isfinite(values.sum()):  # one pass; a sum that overflows is looked at closely
            continue
        wrong = int((~torch.isfinite(values)).sum())
        if wrong:
            raise WeightsError(
                f"{source}: {wrong:,} of the {values.numel():,} numbers of the tensor {name} are NaN or infinite (as "
                "float32); a network made of them labels everything wrongly. Download or train it again."
            )


def to_float32(state: Mapping[str, torch.Tensor]) -> StateDict:
    """Floating tensors as float32 (published files may hold half precision), others unchanged."""
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in state.items()}


def part_of(state: Mapping[str, torch.Tensor], prefix: str) -> StateDict:
    """The tensors whose names begin with `prefix`, under the rest of their names."""
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


def joined_parts(parts: Mapping[str, Mapping[str, torch.Tensor]]) -> StateDict:
    """The inverse of `part_of`: the tensors of each part behind its name and a point."""
    return {f"{part}.{name}": tensor for part, state in parts.items() for name, tensor in state.items()}


def joined_tensors(own: Mapping[str, torch.Tensor], names: Mapping[str, tuple[str, ...]]) -> StateDict:
    """Tensors under published names: `names` maps one to the names in `own` of what it joins along the first axis.

    Published files hold query, key and value of attention as one tensor, transformers as three.
    """
    return {
        published: torch.cat([own[name] for name in parts]) if len(parts) > 1 else own[parts[0]]
        for published, parts in names.items()
    }


def split_tensors(published: Mapping[str, torch.Tensor], names: Mapping[str, tuple[str, ...]]) -> StateDict:
    """The inverse of `joined_tensors`, in equal parts."""
    split: StateDict = {}
    for name, parts in names.items():
        split.update(zip(parts, published[name].chunk(len(parts))))
    return split


def _existing(path: PathLike) -> Path:
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"There is no checkpoint at {path}; give the path of the downloaded file.")
    return path


class _LeftOut:
    """Stands for a class or function that a file names; what it makes is an empty dictionary, whatever it is given."""

    def __new__(cls, *_: object, **__: object) -> Any:
        return OrderedDict()


class _LeftOutDtype:
    """The same for numpy's dtypes, whose state is no dictionary."""

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, _: object) -> None:
        pass


@contextmanager
def _without_objects(path: Path) -> Iterator[None]:
    """Let torch's reader of plain tensors pass over the classes that a file names, where torch (2.6) can."""
    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except Exception:  # an older torch, or no file of this kind: the reader says what is wrong with it
        names = []
    if not names:
        yield
        return
    with torch.serialization.safe_globals([(_LeftOutDtype if n == "numpy.dtype" else _LeftOut, n) for n in names]):
        yield


def _require_whole(path: Path) -> None:
    """Raises `WeightsError` for a file that torch did not write, or whose end is missing."""
    with path.open("rb") as file:
        begins = file.read(16)
    if begins.startswith(_ZIP):
        if not zipfile.is_zipfile(path):
            raise WeightsError(
                f"{path} is cut off after {path.stat().st_size:,} bytes, before the table of contents at its end; download it "
                "again."
            )
    elif not begins.startswith(_PICKLE):
        found = f"it begins with {shown(begins.decode('latin1'))}" if begins else "it is empty"
        raise WeightsError(
            f"{path} is no PyTorch checkpoint: {found}. Where a page or a picture was saved in its place, download the file "
            "itself."
        )


def _read_torch(path: Path, *, leave_out_objects: bool = False) -> Any:
    try:
        _require_whole(path)
        with _without_objects(path) if leave_out_objects else nullcontext():
            return torch.load(path, map_location="cpu", weights_only=True)
    except WeightsError:
        raise
    except pickle.UnpicklingError as error:
        if _DAMAGED_PICKLE.search(str(error)):
            raise WeightsError(f"{path} is damaged inside its list of tensors; download it again.") from error
        wanted = re.search(r"GLOBAL ([\w.]+)", str(error))
        what = f"It wants to load {wanted.group(1)}. " if wanted else ""
        raise WeightsError(
            f"{path} needs pickle to be read, and pickle can run any code while it is read, so it is refused. {what}"
            "If you trust its origin, write its tensors alone with torch.save(module.state_dict(), …) where you got it."
        ) from error
    except Exception as error:  # torch's reader raises whatever a damaged byte leads it to
        first = shown(str(error).splitlines()[0], 200)[1:-1] if str(error) else type(error).__name__
        raise WeightsError(f"{path} is damaged or no PyTorch checkpoint ({first}); download it again.") from error


def _named_tensors(content: Any, path: Path) -> StateDict:
    for wrapper in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
            break
    tensors = {}
    if isinstance(content, Mapping):
        tensors = {str(name): value for name, value in content.items() if isinstance(value, torch.Tensor)}
    if not tensors:
        raise WeightsError(f"{path} holds no named tensors (found {type(content).__name__}); expected a state dict.")
    if all(name.startswith("module.") for name in tensors):
        tensors = {name.removeprefix("module."): value for name, value in tensors.items()}
    return tensors


def _listing(items: Any) -> str:
    items = list(items)
    more = f"; and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    return "; ".join(items[:_SHOWN]) + more
