"""Gives mangled files to a process that reads them, and says what went wrong: a hang and a dead process too.

The process (`fuzz_worker`) is started once and again after each death. A failing example is printed as one line of
base64, which `read_again` reads.
"""

from __future__ import annotations

import base64
import os
import pickle
import select
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, settings

from tests.end_to_end.fuzz_worker import run
from tests.examples import examples


MOST_SECONDS, MOST_WAITING = 20.0, 200.0
"""For one example: of work, and of the clock where many tests share a machine; the slowest takes a fraction of a second."""
EXAMPLES = 60
"""Of each kind by day, and ten times as many at night."""

fuzzed = settings(
    examples(EXAMPLES),
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # an example that hangs would be shrunk for hours
    suppress_health_check=list(HealthCheck),
)
"""Settings of a test over mangled files."""


class Guard:
    """One process that reads; give it up with `close`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def check(
        self,
        kind: str,
        files: Mapping[str | bytes, bytes],
        names: Sequence[str],
        *,
        arguments: Any = None,
        templates: Sequence[tuple[Path, str]] = (),
    ) -> None:
        """Let `files`, over copies of `templates` (folder, where), be read by the reader of `kind`.

        An error's message must hold one of `names`. Raises `AssertionError` saying what was wrong, with the example.
        """
        request = {"kind": kind, "files": dict(files), "names": list(names), "arguments": arguments,
                   "templates": [(str(folder), where) for folder, where in templates]}  # fmt: skip
        fault = self._answer(request)
        if fault is not None:
            shown = base64.b64encode(zlib.compress(pickle.dumps(request), 9)).decode()
            raise AssertionError(f"{kind}: {fault}\nread it again: read_again({shown!r})")

    def _answer(self, request: dict[str, Any]) -> str | None:
        process = self._running()
        assert process.stdin is not None and process.stdout is not None
        data = pickle.dumps(request)
        process.stdin.write(struct.pack("<Q", len(data)) + data)
        process.stdin.flush()
        if not self._comes(process):
            self.close()
            return f"took more than {MOST_SECONDS:g} seconds"
        header = process.stdout.read(8)
        if len(header) < 8:
            status = process.wait()
            self.close()
            return f"ended the process with status {status}"
        return pickle.loads(process.stdout.read(struct.unpack("<Q", header)[0]))

    @staticmethod
    def _comes(process: subprocess.Popen[bytes]) -> bool:
        """Whether an answer comes in time."""
        end, worked = time.monotonic() + MOST_WAITING, _work(process.pid)
        while time.monotonic() < end and _work(process.pid) - worked < MOST_SECONDS:
            if select.select([process.stdout], [], [], 1.0)[0]:
                return True
        return False

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            temporary = self._folder / "temporary"
            temporary.mkdir(exist_ok=True)
            caches = dict.fromkeys(("TMPDIR", "HF_HOME", "TORCHINDUCTOR_CACHE_DIR"), str(temporary))
            environment = os.environ | caches | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.end_to_end.fuzz_worker", str(self._folder / "files")],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, cwd=Path(__file__).parents[2],
            )  # fmt: skip
        return self._process

    def close(self) -> None:
        """End the process, whatever it does."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def _work(process: int) -> float:
    """Seconds that a process has computed, or of the clock where the system does not say."""
    try:
        values = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        return (int(values[11]) + int(values[12])) / os.sysconf("SC_CLK_TCK")
    except OSError:
        return time.monotonic()


def read_again(shown: str) -> None:
    """Read a failing example in this process, and print what is wrong with it."""
    with tempfile.TemporaryDirectory() as folder:
        print(run(pickle.loads(zlib.decompress(base64.b64decode(shown))), Path(folder) / "files"))
