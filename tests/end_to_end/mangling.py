"""Strategies that damage files as transfers, tools and people damage them: bytes, JSON documents, and headers.

What is right is drawn on from: a good document or file is changed in one to three places, so that most of it is still
believed and the reader gets far.
"""

from __future__ import annotations

import copy
import json
import struct
import zlib
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st


TWICE, DIGITS = "\0twice", "\0digits"
"""Marks of what no Python document can hold: a key twice, and a number of 5,000 digits."""

NAMES = (
    "../escaped", "../../escaped", "/escaped", "a/../../escaped", "..", ".", "", "a\0b", "con", "x" * 300, "ü", "\ud800", "-rf",
    "a\nb", "~root/x", "C:\\x", "🚗", "%2e%2e%2fescaped", ".hidden", "A.PNG",
)  # fmt: skip
"""Names that lead elsewhere or cannot be written."""

NUMBERS = (0, -1, 1, 255, 256, 65_535, 65_536, 2**31, 2**63, 2**64, -(2**63) - 1, 10**30, 1e308, 0.5, -0.0, float("nan"),
           float("inf"), -float("inf"))  # fmt: skip

OTHERS: tuple[Any, ...] = (None, True, False, [], {}, [[]], {"": None}, [None], ["a"], [0], DIGITS, "1", "nan")


def odd_values() -> st.SearchStrategy[Any]:
    """A value that is seldom right, of any type, also nested and long."""
    return st.one_of(
        st.sampled_from(NUMBERS), st.sampled_from(NAMES), st.sampled_from(OTHERS), st.text(max_size=8),
        st.integers(1, 60).map(_nested), st.integers(1, 3000).map(lambda n: [0] * n),
        st.integers(1, 3000).map(lambda n: "x" * n),
    )  # fmt: skip


def _nested(depth: int) -> Any:
    value: Any = 1
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    return value


@st.composite
def documents(draw: st.DrawFn, good: Any) -> bytes:
    """A JSON file made from the document `good`: values, keys and types changed, then perhaps bytes."""
    document = copy.deepcopy(good)
    for _ in range(draw(st.integers(1, 3))):
        document = _changed(draw, document)
    text = _as_text(document)
    return draw(mangled(text)) if draw(st.integers(0, 3)) == 0 else text


def _changed(draw: st.DrawFn, document: Any) -> Any:
    """One change at a drawn place."""
    holder, key = None, None
    value = document
    while isinstance(value, (dict, list)) and value and draw(st.integers(0, 7)):
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        holder, key = value, draw(st.sampled_from(keys))
        value = value[key]
    odd = odd_values().map(copy.deepcopy)  # what is drawn may be changed again
    if holder is None:
        return draw(odd)
    action = draw(st.sampled_from(["replace", "replace", "remove", "twice", "rename", "retype", "nudge"]))
    if action == "remove":
        del holder[key]
    elif action == "twice" and isinstance(holder, dict):
        holder[f"{key}{TWICE}"] = draw(st.one_of(st.just(copy.deepcopy(value)), odd))
    elif action == "twice":
        holder.append(copy.deepcopy(value))
    elif action == "rename" and isinstance(holder, dict):
        holder[draw(st.sampled_from(NAMES))] = holder.pop(key)
    elif action == "nudge" and isinstance(value, (int, float)):
        holder[key] = (not value) if isinstance(value, bool) else draw(st.sampled_from(_nudged(value)))
    else:
        holder[key] = draw(st.sampled_from(_retyped(value))) if action == "retype" else draw(odd)
    return document


def _nudged(value: float) -> list[float]:
    """A number of the same type that may just be right."""
    return [value + 1, value - 1, value * 2, value * 1000, -value, value * 0, value // 2]


def _retyped(value: Any) -> list[Any]:
    """The same in another type, as careless writers have it."""
    if isinstance(value, dict):
        return [list(value), list(value.values()), [value], str(value)]
    if isinstance(value, list):
        return [{str(k): each for k, each in enumerate(value)}, [value], str(value), value * 2, value[::-1]]
    return [str(value), [value], {"value": value}, None]


def _as_text(document: Any) -> bytes:
    text = json.dumps(document)
    text = text.replace(json.dumps(TWICE)[1:-1], "").replace(json.dumps(DIGITS), "9" * 5000)
    return text.encode()


@st.composite
def mangled(draw: st.DrawFn, good: bytes) -> bytes:
    """The file `good` with bytes changed in one to three ways."""
    data = bytearray(good)
    for _ in range(draw(st.integers(1, 3))):
        if data:
            _damage(draw, data)
    return bytes(data)


def _damage(draw: st.DrawFn, data: bytearray) -> None:
    at = draw(st.integers(0, len(data) - 1))
    end = min(len(data), at + draw(st.sampled_from((1, 2, 4, 16, 64, 1000))))
    action = draw(st.sampled_from(["cut", "flip", "write", "zero", "ones", "remove", "repeat", "insert"]))
    if action == "cut":
        del data[at:]
    elif action == "flip":
        data[at] ^= 1 << draw(st.integers(0, 7))
    elif action == "write":
        data[at:end] = draw(st.binary(min_size=1, max_size=8))
    elif action in ("zero", "ones"):
        data[at:end] = bytes([255 * (action == "ones")]) * (end - at)
    elif action == "remove":
        del data[at:end]
    elif action == "repeat":
        data[at:at] = data[at:end] * draw(st.sampled_from((1, 2, 50)))
    else:
        data[at:at] = draw(st.binary(min_size=1, max_size=8))


@st.composite
def mangled_png(draw: st.DrawFn, good: bytes) -> bytes:
    """A PNG with bytes changed, or with a header, chunks or pixels that disagree and right checksums all the same."""
    action = draw(st.sampled_from(["bytes", "header", "pixels", "bomb", "chunk"]))
    if action == "bytes":
        return draw(mangled(good))
    chunks = list(_chunks(good))
    if action == "header":
        sides = st.sampled_from((0, 1, 31, 64, 96, 5000, 25_000, 100_000, 2**31 - 1, 2**32 - 1))
        header = struct.pack(">II", draw(sides), draw(sides))
        kind = (draw(st.sampled_from((1, 2, 4, 8, 16, 3))), draw(st.integers(0, 7)), 0, 0, draw(st.integers(0, 1)))
        chunks[0] = (b"IHDR", header + bytes(kind))
    elif action == "pixels":
        chunks = [(k, draw(mangled(v)) if k == b"IDAT" else v) for k, v in chunks]
    elif action == "bomb":
        zeros = zlib.compress(bytes(draw(st.sampled_from((100_000, 30_000_000)))), 9)
        kind = draw(st.sampled_from((b"IDAT", b"zTXt", b"iCCP", b"iTXt")))
        body = zeros if kind == b"IDAT" else b"a\0\0\0\0" + zeros
        chunks.insert(draw(st.integers(1, len(chunks) - 1)), (kind, body))
    else:
        names = (b"PLTE", b"tRNS", b"eXIf", b"acTL", b"fcTL", b"fdAT", b"gAMA", b"IHDR", b"IEND", b"sBIT", b"\0\0\0\0")
        name, body = draw(st.sampled_from(names)), draw(st.binary(max_size=40))
        chunks.insert(draw(st.integers(0, len(chunks))), (name, body))
    return good[:8] + b"".join(
        struct.pack(">I", len(v)) + k + v + struct.pack(">I", zlib.crc32(k + v)) for k, v in chunks
    )


def _chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    found, position = [], 8
    while position < len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        found.append((data[position + 4 : position + 8], data[position + 8 : position + 8 + length]))
        position += 12 + length
    return found


@st.composite
def mangled_npy(draw: st.DrawFn, good: bytes) -> bytes:
    """An ``.npy`` file with bytes changed, or with another header in front of its numbers."""
    if draw(st.booleans()):
        return draw(mangled(good))
    start = 10 + int.from_bytes(good[8:10], "little")
    sides = st.sampled_from((0, 1, 2, -1, 20, 30, 10**6, 2**31, 2**63, 10**30))
    shape = draw(st.lists(sides, max_size=5).map(tuple))
    descr = draw(st.sampled_from(["<f4", "<f8", ">f2", "|O", "|b1", "<i8", "|V0", "<U9", "<M8[s]", "c16", "|S99999999", "x",
                                  [("a", "<f4")], None]))  # fmt: skip
    header = repr({"descr": descr, "fortran_order": draw(st.booleans()), "shape": shape}).encode() + b"\n"
    header = draw(st.one_of(st.just(header), st.just(b"(" * 5000 + b"\n"), mangled(header)))
    return good[:8] + struct.pack("<H", min(len(header), 65_535)) + header[:65_535] + good[start:]


@st.composite
def mangled_safetensors(draw: st.DrawFn, good: bytes) -> bytes:
    """A ``.safetensors`` file with bytes changed, or with a changed header of the right length."""
    if draw(st.booleans()):
        return draw(mangled(good))
    size = int.from_bytes(good[:8], "little")
    header = draw(documents(json.loads(good[8 : 8 + size])))
    return struct.pack("<Q", len(header)) + header + good[8 + size :]


def either(*makers: Callable[..., st.SearchStrategy[bytes]], good: bytes) -> st.SearchStrategy[bytes]:
    """One of several ways to damage a file, or once in a while the file as it is."""
    return st.one_of(*(maker(good) for maker in makers), st.just(good))
