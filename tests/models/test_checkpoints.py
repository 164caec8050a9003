from __future__ import annotations

import os
from argparse import Namespace
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from mbps_dataset.errors import WeightsError
from mbps_dataset.models.checkpoints import (
    compare,
    joined_parts,
    joined_tensors,
    part_of,
    read_array,
    read_state_dict,
    require_finite,
    require_match,
    shapes_of,
    split_tensors,
    state_dict_digest,
    to_float32,
)


STATE = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.zeros(2)}


class Unsafe:
    """Creates a file when unpickled without care."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def equal(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


@pytest.mark.parametrize(
    "content",
    [
        STATE,
        {"state_dict": STATE, "epoch": 3},
        {"model": STATE},
        {f"module.{name}": tensor for name, tensor in STATE.items()},
        {**STATE, "height": 320, "use_stereo": False},
    ],
    ids=["plain", "state_dict", "model", "data-parallel", "numbers beside"],
)
def test_wrapping_is_taken_off(tmp_path: Path, content: dict) -> None:
    torch.save(content, tmp_path / "file.pth")
    assert equal(read_state_dict(tmp_path / "file.pth"), STATE)


def test_old_and_new_formats_are_read(tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    save_file(STATE, tmp_path / "new.safetensors")
    assert equal(read_state_dict(tmp_path / "old.pth"), STATE)
    assert equal(read_state_dict(str(tmp_path / "new.safetensors")), STATE)


def test_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
    torch.save({"weight": torch.ones(1), "hook": Unsafe(tmp_path / "made")}, tmp_path / "file.pth")
    with pytest.raises(
        WeightsError, match=r"(?s)needs pickle.*can run any code.*mkdir.*torch.save\(module.state_dict"
    ):
        read_state_dict(tmp_path / "file.pth")
    assert not (tmp_path / "made").exists()


class Running(Unsafe):
    """Creates a file by a builtin that runs text."""

    def __reduce__(self):
        return exec, (f"open({str(self.path)!r}, 'w')",)


class Mapped(dict):
    """A dictionary of a trainer's own class, as settings often are."""


@pytest.mark.skipif(not hasattr(torch.serialization, "get_unsafe_globals_in_checkpoint"), reason="torch before 2.6")
def test_objects_beside_tensors_are_left_out_on_request_and_not_run(tmp_path: Path) -> None:
    objects = [Running(tmp_path / "made"), Namespace(a=Mapped(b=1)), defaultdict(dict, a={}), np.float64(3), Path("x")]
    torch.save({"state_dict": STATE, "hyper_parameters": objects}, tmp_path / "last.ckpt")
    assert equal(read_state_dict(tmp_path / "last.ckpt", leave_out_objects=True), STATE)
    assert not (tmp_path / "made").exists()
    with pytest.raises(WeightsError, match="needs pickle to be read"):  # what was let through is let through no more
        read_state_dict(tmp_path / "last.ckpt")
    torch.save({"state_dict": STATE, "more": Unsafe(tmp_path / "made")}, tmp_path / "system.ckpt")
    with pytest.raises(WeightsError, match="needs pickle to be read"):
        read_state_dict(tmp_path / "system.ckpt", leave_out_objects=True)
    assert not (tmp_path / "made").exists()


def test_pickled_array_is_refused_and_not_run(tmp_path: Path) -> None:
    np.save(tmp_path / "file.npy", np.array([Unsafe(tmp_path / "made")], dtype=object))
    with pytest.raises(WeightsError, match="holds Python objects.*refused"):
        read_array(tmp_path / "file.npy")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("name", ["file.pth", "file.safetensors"])
def test_damaged_files_are_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    save_file(STATE, path) if name.endswith("tensors") else torch.save(STATE, path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-40])
    with pytest.raises(WeightsError, match=rf"{name} is .*download it again"):
        read_state_dict(path)
    changed = bytearray(whole)
    changed[10:200] = bytes(190)
    path.write_bytes(changed)
    with pytest.raises(WeightsError, match=rf"{name} is .*download it again"):
        read_state_dict(path)


def test_files_of_torch_that_are_cut_off_say_so_and_others_what_they_begin_with(tmp_path: Path) -> None:
    for name, new in (("new.pth", True), ("old.pth", False)):
        torch.save(STATE, tmp_path / name, _use_new_zipfile_serialization=new)
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[: len(whole) - 12])
    with pytest.raises(WeightsError, match=r"new.pth is cut off after [\d,]+ bytes, before .*; download it again"):
        read_state_dict(tmp_path / "new.pth")
    with pytest.raises(WeightsError, match=r"old.pth is damaged or no PyTorch checkpoint .*; download it again"):
        read_state_dict(tmp_path / "old.pth")
    (tmp_path / "photo.pth").write_bytes(b"\xff\xd8\xff\xe0" + bytes(30))
    with pytest.raises(
        WeightsError, match="photo.pth is no PyTorch checkpoint: it begins with .* download the file itself"
    ):
        read_state_dict(tmp_path / "photo.pth")
    (tmp_path / "photo.pth").write_bytes(b"")
    with pytest.raises(WeightsError, match="photo.pth is no PyTorch checkpoint: it is empty"):
        read_state_dict(tmp_path / "photo.pth")


def test_other_bad_files(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="There is no checkpoint at"):
        read_state_dict(tmp_path / "absent.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(WeightsError, match=r"holds no named tensors \(found list\)"):
        read_state_dict(tmp_path / "list.pth")
    (tmp_path / "text.npy").write_bytes(b"not an array")
    with pytest.raises(WeightsError, match=r"text.npy"):
        read_array(tmp_path / "text.npy")
    np.savez(tmp_path / "many.npz", a=np.ones(2))
    with pytest.raises(WeightsError, match="holds several arrays"):
        read_array(tmp_path / "many.npz")


def test_array_is_read(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.eye(3, dtype=np.float32))
    assert np.array_equal(read_array(tmp_path / "a.npy"), np.eye(3))


def test_every_difference_is_in_one_message() -> None:
    module = torch.nn.ModuleDict({"a": torch.nn.Linear(3, 2), "b": torch.nn.Linear(2, 2)})
    state = {
        "a.weight": torch.zeros(5, 3),
        "a.bias": torch.zeros(2),
        "b.weight": torch.zeros(2, 2),
        "c": torch.zeros(1),
    }
    with pytest.raises(WeightsError) as caught:
        require_match(state, shapes_of(module), source="some.pth", network="Toy", fits="width=5")
    message = str(caught.value)
    assert "some.pth does not fit Toy" in message
    assert "missing (1): b.bias" in message
    assert "unexpected (1): c" in message
    assert "wrong shape (1): a.weight is [5, 3], expected [2, 3]" in message
    assert message.endswith("A configuration that would fit: width=5.")


def test_long_lists_are_cut_and_equal_states_pass() -> None:
    expected = {f"layer{i}": (1,) for i in range(9)}
    assert "missing (9)" in compare({}, expected).describe() and "and 3 more" in compare({}, expected).describe()
    assert not compare({name: torch.zeros(1) for name in expected}, expected)
    with pytest.raises(WeightsError, match="No configuration of this class would fit"):
        require_match({}, expected, source="x", network="y")


def test_digests() -> None:
    reordered = dict(reversed(STATE.items()))
    assert state_dict_digest(STATE) == state_dict_digest(reordered)
    changed = {**STATE, "a.bias": torch.tensor([0.0, 1e-30])}
    assert state_dict_digest(STATE) != state_dict_digest(changed)
    assert state_dict_digest({"a": torch.zeros(2, 3)}) != state_dict_digest({"a": torch.zeros(3, 2)})


def test_half_precision_becomes_float32() -> None:
    converted = to_float32({"a": torch.ones(2, dtype=torch.float16), "n": torch.tensor(3)})
    assert converted["a"].dtype == torch.float32 and converted["n"].dtype == torch.int64


BAD_TENSORS = {
    "NaN": (torch.tensor([[1.0, float("nan")]]), r"1 of the 2 numbers of the tensor layer.weight are NaN or infinite"),
    "infinity": (torch.tensor([[1.0, float("inf")]]), "1 of the 2 numbers of the tensor layer.weight are NaN"),
    "both infinities": (
        torch.tensor([[float("-inf"), float("inf")]]),
        "2 of the 2 numbers of the tensor layer.weight",
    ),
    "NaN of half precision": (torch.tensor([[1.0, float("nan")]]).half(), "1 of the 2 numbers"),
    "NaN of bfloat16": (torch.tensor([[float("nan"), 1.0]]).bfloat16(), "1 of the 2 numbers"),
    "beyond float32": (torch.tensor([[1e300, 1.0]], dtype=torch.float64), r"1 of the 2 .* \(as float32\)"),
    "whole numbers": (torch.tensor([[1, 2]]), "the tensor layer.weight holds int64, where floating-point numbers"),
    "bytes": (torch.tensor([[1, 2]], dtype=torch.uint8), "the tensor layer.weight holds uint8"),
    "truth values": (torch.tensor([[True, False]]), "the tensor layer.weight holds bool"),
    "complex numbers": (torch.tensor([[1 + 1j, 2]]), "the tensor layer.weight holds complex64"),
}


@pytest.mark.parametrize("kind", BAD_TENSORS)
def test_weights_that_are_no_finite_floats_are_refused(kind: str) -> None:
    tensor, message = BAD_TENSORS[kind]
    state = {"layer.weight": tensor, "layer.num_batches_tracked": torch.tensor(3)}
    with pytest.raises(WeightsError, match=f"mine.pth: .*{message}.*again"):
        require_match(
            state, {name: tuple(value.shape) for name, value in state.items()}, source="mine.pth", network="X"
        )


def test_finite_weights_of_any_precision_and_counters_pass() -> None:
    large = torch.full((4, 4), 3e38)  # the sum overflows, the numbers do not
    for tensor in (large, -large, torch.ones(2).half(), torch.ones(2).double(), torch.zeros(0), torch.tensor(1.5)):
        require_finite({"weight": tensor, "num_batches_tracked": torch.tensor(7)}, source="mine.pth")


def test_a_part_of_a_state_loses_its_prefix() -> None:
    state = {"head.a": torch.ones(1), "header": torch.ones(2), "b.head.a": torch.ones(3)}
    assert {name: len(tensor) for name, tensor in part_of(state, "head.").items()} == {"a": 1}
    parts = {"head": part_of(state, "head."), "other": {"b": torch.ones(3)}}
    assert {name: len(tensor) for name, tensor in joined_parts(parts).items()} == {"head.a": 1, "other.b": 3}


def test_tensors_are_joined_and_split_along_the_first_axis() -> None:
    names = {"qkv": ("query", "key", "value"), "norm": ("layernorm",)}
    own = {name: torch.full((2, 3), float(k)) for k, name in enumerate(("query", "key", "value", "layernorm"))}
    published = joined_tensors(own, names)
    assert {name: tuple(tensor.shape) for name, tensor in published.items()} == {"qkv": (6, 3), "norm": (2, 3)}
    assert published["qkv"][:, 0].tolist() == [0, 0, 1, 1, 2, 2]
    again = split_tensors(published, names)
    assert again.keys() == own.keys() and all(torch.equal(again[name], own[name]) for name in own)
