"""The process in which mangled files are read: whatever they do, it is seen from outside. Started by `fuzz_guard`.

Reads pickled requests on standard input. For each it makes an empty folder, writes the files below ``in``, calls the
reader of that kind (`fuzz_readers`), and answers with what was wrong: None, or one text. Wrong is an exception that is
none of `mbps_dataset.errors`, a message that is long, has several lines or names none of the request's names, memory
that grew by more than `MOST_MEMORY`, and any change of a file outside ``out`` (seen by an audit hook, and by looking).
Hangs and ends of the process are seen by the guard.
"""

from __future__ import annotations

import os
import pickle
import re
import resource
import shutil
import struct
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import torch

from mbps_dataset.cli import USER_ERRORS
from mbps_dataset.errors import WeightsError
from tests.end_to_end.fuzz_readers import READERS


MOST_MEMORY = 1 << 30
"""Bytes an example may add to the process."""
_ADDRESS_SPACE = 8 << 30
"""Beyond what is mapped at the start; so that a runaway ends itself and not the machine."""
_LONGEST, _MOST_LINES = 1100, 6
_LINES = {WeightsError: _MOST_LINES}
"""Weights that do not fit are described in a line per kind of difference."""
_CHANGES = ("os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod",
            "shutil.rmtree")  # fmt: skip

_allowed: list[str] = []
_changed_outside: list[str] = []


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    """Note changes of files outside the allowed folders."""
    if event == "open":
        if not (isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)):
            return
        paths = arguments[:1]
    elif event in _CHANGES:
        paths = arguments[:2]
    else:
        return
    folder = next((each for each in arguments[1:] if isinstance(each, int) and each > 0 and event != "open"), None)
    for path in paths:
        if not isinstance(path, (str, bytes, os.PathLike)) or not _allowed:
            continue
        inside = "" if folder is None else f"/proc/self/fd/{folder}"  # shutil.rmtree names files so
        real = os.path.realpath(os.path.join(inside, os.fsdecode(path)))
        if real != os.devnull and not any(f"{real}/".startswith(f"{each}/") for each in _allowed):
            _changed_outside.append(f"{event} {real}")


def run(request: dict[str, Any], root: Path) -> str | None:
    """Read the files of a request; what is wrong with how that went."""
    shutil.rmtree(root, ignore_errors=True)
    box = root / "level" / "level" / "box"
    (box / "in").mkdir(parents=True)
    (box / "out").mkdir()
    for template, where in request["templates"]:
        shutil.copytree(template, box / "in" / where, copy_function=os.link)
    for name, data in request["files"].items():
        path = os.path.join(os.fsencode(box / "in"), os.fsencode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if os.path.lexists(path):
            os.remove(path)
        with open(path, "wb") as stream:
            stream.write(data)
    before, base = sorted(_tree(root, box)), _memory(reset=True)
    _changed_outside.clear()
    _allowed[:] = [str(box / "out"), str(box / "in/set"), tempfile.gettempdir()]
    try:
        fault = _fault(request, box)
    finally:
        _allowed.clear()
    grown = _memory() - base
    if fault is None and grown > MOST_MEMORY:
        fault = f"{grown / 1e6:.0f} MB more memory"
    if fault is None and (_changed_outside or sorted(_tree(root, box)) != before):
        fault = f"changed outside the target: {_changed_outside[:3] or 'see the tree'}"
    return fault


def _fault(request: dict[str, Any], box: Path) -> str | None:
    try:
        READERS[request["kind"]](box, request["arguments"])
    except USER_ERRORS as error:
        return fault_of_message(str(error), request["names"], _LINES.get(type(error), 1))
    except BaseException:  # also SystemExit, and MemoryError that nobody expected
        return traceback.format_exc()
    return None


def fault_of_message(message: str, names: Sequence[str], lines: int = 1) -> str | None:
    """What is wrong with an error message: empty, long, of several lines, or without any of `names`."""
    if len(message) > _LONGEST or not 0 < len(message.splitlines()) <= lines:
        return f"a message of {len(message)} characters in {len(message.splitlines())} lines: {message[:1500]!r}"
    if names and not any(name in message for name in names):
        return f"a message without any of {list(names)}: {message!r}"
    return None


def _tree(root: Path, box: Path) -> Iterator[tuple[str, int]]:
    """Every file and folder outside ``out``, with its size."""
    allowed = (os.fsencode(box / "out"), os.fsencode(box / "in/set"))
    for folder, folders, files in os.walk(os.fsencode(root)):
        folders[:] = [each for each in folders if os.path.join(folder, each) not in allowed]
        yield os.fsdecode(folder), 0
        for name in files:
            path = os.path.join(folder, name)
            yield os.fsdecode(path), os.lstat(path).st_size


def _memory(*, reset: bool = False) -> int:
    """Resident bytes at most since `reset`; where the system cannot say, since the start."""
    try:
        if reset:
            Path("/proc/self/clear_refs").write_text("5")
        return int(re.findall(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())[0]) * 1024
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _limit_address_space() -> None:
    try:
        mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (mapped + _ADDRESS_SPACE, resource.RLIM_INFINITY))
    except OSError:
        return


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests until there are no more."""
    torch.set_num_threads(1)
    root = Path(sys.argv[1])
    _limit_address_space()
    sys.addaudithook(_watch)
    while header := requests.read(8):
        request = pickle.loads(requests.read(struct.unpack("<Q", header)[0]))
        answer = pickle.dumps(run(request, root))
        answers.write(struct.pack("<Q", len(answer)) + answer)
        answers.flush()


if __name__ == "__main__":
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever is printed is no answer
    serve(requests, answers)
