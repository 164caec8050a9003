"""Runs the `mbps` command in children of one warm process, and kills them; used by test_resume.py.

Reads one JSON request a line: ``{"arguments": [...], "events": n, "after_s": s, "below": folder}``. A child runs the real
command line and is killed with SIGKILL just before its n-th change of a file below `folder` (counted by an audit hook),
or after `s` seconds, or not at all; the answer is its status, how many such changes it made, and its peak memory. Importing torch and
`datasets` once instead of sixty times is all that this process is for: it has one thread and runs no network itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import sys
import threading
import time

import torch

import mbps_dataset.hub.builder  # noqa: F401 - imported once, for all children
import mbps_dataset.labelset.build  # noqa: F401
from mbps_dataset import cli


CHANGES = {"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.link", "os.truncate"}


def watch(below: str, kill_at: int | None, counted: list[int]) -> None:
    """Count changes of files below a folder, and die at the `kill_at`-th."""

    def hook(event: str, arguments: tuple) -> None:
        if event not in CHANGES or not any(str(part).startswith(below) for part in arguments[:2]):
            return
        if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)):
            return
        counted[0] += 1
        if kill_at is not None and counted[0] >= kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def child(request: dict, report: int) -> None:
    """Run the command and report the number of changes; never returns."""
    counted = [0]
    watch(request["below"], request.get("events"), counted)
    with open(os.devnull, "w") as silent, contextlib.redirect_stdout(silent):
        status = cli.main(["--quiet", *request["arguments"]])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    os.write(report, json.dumps({"status": status, "changes": counted[0], "peak_kb": peak}).encode())
    os._exit(0)


def serve(request: dict) -> dict:
    """Run one request in a child."""
    start = time.monotonic()
    read, write = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(read)
        try:
            child(request, write)
        finally:
            os._exit(70)
    os.close(write)
    if "after_s" in request:
        timer = threading.Timer(request["after_s"], os.kill, (process, signal.SIGKILL))
        timer.start()
    answer = os.read(read, 10_000)
    os.close(read)
    _, status = os.waitpid(process, 0)
    if "after_s" in request:
        timer.cancel()
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    return {"killed": killed, "seconds": time.monotonic() - start, **(json.loads(answer) if answer else {})}


def main() -> None:
    torch.set_num_threads(1)
    for line in sys.stdin:
        print(json.dumps(serve(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
