"""Filling the store with several processes.

A worker takes one image after the other through all stages that are missing, so that an image is decoded once and what
one stage made is at hand for the next.

Each worker is a fresh interpreter, not a fork: a process that has run multi-threaded torch and is then forked hangs for
ever in the child (measured), CUDA cannot be used after a fork at all, and ``multiprocessing``'s other start methods run
the user's script a second time unless it has a ``__main__`` guard. A worker gets its jobs as JSON lines on standard
input, writes results to the store, and reports one JSON line per image on standard output; the parent draws the bars. A
worker whose parent was killed finishes the image at hand and ends.

An image that cannot be labelled is recorded as a failure and the others go on. What would fail for every image (a full
disk, weights that do not fit) ends the job with its message; what was finished stays in the store.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from typing import IO, Any, TypeVar

from mbps_dataset.errors import CalibrationError, InputError, RecipeError, StoreError, WeightsError, WorkerError
from mbps_dataset.labelling.calibration import Calibration
from mbps_dataset.labelling.road import stage_named
from mbps_dataset.labelling.stage import Run, Stage
from mbps_dataset.recipe import Recipe
from mbps_dataset.sources import Frame, Source, open_source
from mbps_dataset.store import Failure, Store
from mbps_dataset.store.pace import Pace
from mbps_dataset.store.progress import ProgressBar


Event = Mapping[str, Any]
Value = TypeVar("Value")

FATAL: tuple[type[Exception], ...] = (RecipeError, WeightsError, CalibrationError, StoreError)
"""What goes wrong with every image alike."""

DONE: Event = {"done": True}
"""What a worker reports at the end of a job."""


@dataclass(frozen=True)
class Job:
    """Stages of a run over the frames of one split."""

    run: Run
    source: Source
    split: str
    stages: tuple[Stage, ...]

    @cached_property
    def frames(self) -> Sequence[Frame]:
        """Frames of the split."""
        return self.source.frames(self.split)


def pass_through(run: Run, frame: Frame, stages: Sequence[Stage]) -> Iterator[Event]:
    """Take one image through `stages` and say how each went. Raises what would go wrong with every image.

    After a stage that failed the image is left: what follows reports the same reason.
    """
    visit, failure = run.visit(frame), None
    for stage in stages:
        start = time.perf_counter()
        if failure is None and isinstance(error := attempt(partial(visit.result, stage)), Exception):
            failure = {"stage": stage.name, "reason": why(frame, error)}
        seconds = round(time.perf_counter() - start, 4)
        yield {"stage": stage.name, "image_id": frame.image_id, "failure": failure, "seconds": seconds}


def attempt(work: Callable[[], Value], *raised: type[BaseException]) -> Value | Exception:
    """What `work` on one image gives, or the error that only this image has: it must not end the job, so it is kept.

    Raises what goes wrong with every image alike (`FATAL`), and `raised`.
    """
    try:
        return work()
    except FATAL + raised:
        raise
    except Exception as error:
        return error


def why(frame: Frame, error: Exception) -> str:
    """The one line that a person reads about an image that failed."""
    if isinstance(error, InputError):
        return str(error)
    return f"{frame.image_id}: {type(error).__name__}: {' '.join(str(error).split())}"


def default_workers(device: str) -> int:
    """One worker per core on the CPU (each runs one thread), one on a GPU."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores if device == "cpu" else 1


class WorkerPool:
    """Up to `count` processes, started when first needed and kept for the next job until the pool is left.

    Loading torch and the networks takes a process some seconds, which a build would otherwise pay for every split and
    phase.
    """

    def __init__(self, count: int) -> None:
        self.count = max(1, count)
        self._running: list[subprocess.Popen[str]] = []
        self._events: queue.Queue[tuple[int, dict[str, Any] | None]] = queue.Queue()

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running:
            process.kill()
            process.wait()
        self._running.clear()

    def work(self, documents: Sequence[Mapping[str, Any]]) -> Iterator[Event]:
        """Hand each worker one document and pass on what all report until the last is done.

        Raises what a worker found to go wrong with every image, and `WorkerError` when one dies.
        """
        while len(self._running) < len(documents):
            process, number = _start(), len(self._running)
            self._running.append(process)
            threading.Thread(target=self._listen, args=(process, number), daemon=True).start()
        for process, document in zip(self._running, documents):
            assert process.stdin is not None  # PIPE was asked for
            with suppress(BrokenPipeError):  # its exit status tells
                print(json.dumps(document), file=process.stdin, flush=True)
        busy = set(range(len(documents)))
        while busy:
            number, event = self._events.get()
            if event is None:
                raise _ended(self._running[number].wait())
            if "fatal" in event:
                raise {cls.__name__: cls for cls in FATAL}.get(event["fatal"], WorkerError)(event["message"])
            if event == DONE:
                busy.discard(number)
            else:
                yield event

    def _listen(self, process: subprocess.Popen[str], number: int) -> None:
        """Queue what a worker reports; None when it has ended."""
        assert process.stdout is not None  # PIPE was asked for
        for line in process.stdout:
            with suppress(ValueError):  # a line cut off by a kill
                self._events.put((number, json.loads(line)))
        self._events.put((number, None))


def _ended(status: int) -> WorkerError:
    return WorkerError(
        f"A worker ended with status {status}"
        + (" (killed; too little memory? Use fewer --workers)" if status < 0 else "")
        + ". Finished images are kept; run the same command again."
    )


def fill_store(
    job: Job, indices: Sequence[int], pool: WorkerPool, *, progress: bool, isolate: bool = True
) -> list[Failure]:
    """Compute whatever is missing of the job's stages for ``frames(split)[i]``, i in `indices`; return the failures.

    A pool of one worker works in this process, unless `isolate`: a process that is going to be forked must not run
    networks. Raises the worker's own error when no image could succeed, `WorkerError` when a worker dies.
    """
    missing = _missing(job, indices)
    if not missing:
        return []
    count = min(pool.count, len(missing))
    work = [dict(list(missing.items())[k::count]) for k in range(count)]
    left = {stage: sum(stage.name in names for names in missing.values()) for stage in job.stages}
    bars = {
        stage.name: ProgressBar(f"{stage.title} ({job.split})", len(indices), done=len(indices) - todo, show=progress)
        for stage, todo in left.items()
    }
    try:
        if count == 1 and not isolate:
            events = _events(job, missing)
        else:
            events = pool.work([_document(job, share) for share in work])
        return _follow(events, bars, job.run.store, count)
    finally:
        for bar in bars.values():
            bar.close()


def _missing(job: Job, indices: Sequence[int]) -> dict[int, list[str]]:
    """``{index: names of the stages whose result is not there}``, for images that lack any."""
    found = {i: [s.name for s in job.stages if not job.run.holds(s, job.frames[i])] for i in indices}
    return {index: names for index, names in found.items() if names}


def _events(job: Job, work: Mapping[int, Sequence[str]]) -> Iterator[Event]:
    for index, names in work.items():
        yield from pass_through(job.run, job.frames[index], [stage_named(name) for name in names])


def _follow(events: Iterable[Event], bars: Mapping[str, ProgressBar], store: Store, workers: int) -> list[Failure]:
    """Draw bars, record failures and the pace as events come in."""
    failures: dict[str, Failure] = {}
    with Pace(store, workers) as pace:
        for event in events:
            bars[event["stage"]].update(event["seconds"])
            if event["failure"] is None:
                pace.add(event["stage"], event["seconds"])
            elif event["image_id"] not in failures:
                failure = Failure(event["image_id"], event["failure"]["stage"], event["failure"]["reason"])
                failures[failure.image_id] = failure
                store.record_failure(failure)
    return sorted(failures.values(), key=lambda failure: failure.image_id)


def _document(job: Job, work: Mapping[int, Sequence[str]]) -> dict[str, Any]:
    run = job.run
    return {
        "recipe": run.recipe.to_json(),
        "source": job.source.describe(),
        "split": job.split,
        "store": str(run.store.root),
        "device": run.device,
        "calibration": run.calibration.to_json() if run.is_calibrated else None,
        "work": list(work.items()),
    }


def _start() -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "mbps_dataset.labelling.workers"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )


def _work(document: Mapping[str, Any], report: IO[str]) -> None:
    def tell(event: Event) -> None:
        print(json.dumps(event), file=report, flush=True)

    try:
        known, source = document["calibration"], open_source(**document["source"])
        run = Run(
            Recipe.from_json(document["recipe"]),
            Store(document["store"]),
            document["device"],
            source,
            None if known is None else Calibration.from_json(known),
        )
        for event in _events(Job(run, source, document["split"], ()), dict(document["work"])):
            tell(event)
        tell(DONE)
    except FATAL as error:
        tell({"fatal": type(error).__name__, "message": str(error)})


def main() -> None:
    """Entry point of a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent too, which ends its workers
    report = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print must not mix with the report
    try:
        for line in sys.stdin:
            _work(json.loads(line), report)
    except BrokenPipeError:  # nobody listens any more; what was finished is in the store
        os._exit(1)


if __name__ == "__main__":
    main()
