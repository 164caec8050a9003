"""Filling the store with several processes.

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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import IO, Any

from tqdm import tqdm

from mbps_dataset.errors import CalibrationError, InputError, RecipeError, StoreError, WeightsError, WorkerError
from mbps_dataset.labelling import label_rows
from mbps_dataset.labelling.calibration import Calibration
from mbps_dataset.labelling.pipeline import Pipeline
from mbps_dataset.recipe import Recipe
from mbps_dataset.sources import Frame, Source, open_source
from mbps_dataset.store import Failure, Store
from mbps_dataset.store.pace import Pace


Event = Mapping[str, Any]

STAGE_TITLES = {
    "codes": "semantic codes",
    "pseudo_classes": "pseudo-classes",
    "depth": "depth",
    "saliency": "saliency",
    "cuts": "objects by cuts",
    label_rows.STAGE: "labels",
}
FATAL = (RecipeError, WeightsError, CalibrationError, StoreError)
"""What goes wrong with every image alike."""

DONE: Event = {"done": True}
"""What a worker reports at the end of a job."""


@dataclass(frozen=True)
class Job:
    """Stages to run over the frames of one split; "labels" needs the calibration."""

    recipe: Recipe
    source: Source
    split: str
    store: Store
    stages: tuple[str, ...]
    device: str = "cpu"
    calibration: Calibration | None = None


class StageRunner:
    """The stages of a job by name, those of the pipeline and "labels" alike."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.pipeline = Pipeline(job.recipe, job.store, job.device, job.source)
        self.frames = job.source.frames(job.split)
        self._keys: dict[str, str] = {}

    @cached_property
    def rows(self) -> label_rows.LabelRows:
        if self.job.calibration is None:
            raise CalibrationError("Rows need a calibration: calibrate before labelling.")
        return label_rows.LabelRows(self.pipeline, self.job.calibration)

    def address(self, stage: str, frame: Frame) -> tuple[str, str, str, str]:
        """Stage, key, image id and input digest: where the store keeps the result. Raises `InputError`."""
        if stage == label_rows.STAGE:
            return stage, self.rows.key, frame.image_id, self.rows.input_digest(frame)
        if stage not in self._keys:
            self._keys[stage] = self.pipeline.key(stage, self.job.calibration)
        return stage, self._keys[stage], frame.image_id, self.pipeline.input_digest(frame, stage)

    def is_done(self, stage: str, frame: Frame) -> bool:
        """Whether an undamaged result is stored; False for an image that cannot be read."""
        try:
            return self.job.store.holds(*self.address(stage, frame))
        except InputError:
            return False

    def attempt(self, stage: str, index: int) -> Event:
        """Run a stage for a frame and say how it went. Raises what would go wrong with every image."""
        frame, start = self.frames[index], time.perf_counter()
        try:
            if stage == label_rows.STAGE:
                self.rows.run(frame)
            else:
                self.pipeline.run(stage, frame, self.job.calibration)
            reason = None
        except FATAL:
            raise
        except Exception as error:  # one image must not end the job; the reason is shown and kept
            reason = why(frame, error)
        seconds = time.perf_counter() - start
        return {"stage": stage, "image_id": frame.image_id, "reason": reason, "seconds": round(seconds, 4)}


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
    runner = StageRunner(job)
    missing = {stage: [i for i in indices if not runner.is_done(stage, runner.frames[i])] for stage in job.stages}
    wanted = sorted({i for todo in missing.values() for i in todo})
    if not wanted:
        return []
    count = min(pool.count, len(wanted))
    bars = {
        stage: tqdm(total=len(indices), initial=len(indices) - len(todo), unit="img", disable=not progress, leave=True,
                    desc=f"{STAGE_TITLES.get(stage, stage):>16} ({job.split})")
        for stage, todo in missing.items()
    }  # fmt: skip
    try:
        if count == 1 and not isolate:
            events = (runner.attempt(stage, index) for stage, todo in missing.items() for index in todo)
        else:
            events = pool.work([_document(job, wanted[k::count], missing) for k in range(count)])
        return _follow(events, bars, job.store, count)
    finally:
        for bar in bars.values():
            bar.close()


def _follow(events: Iterable[Event], bars: Mapping[str, tqdm], store: Store, workers: int) -> list[Failure]:
    """Draw bars, record failures and the pace as events come in."""
    failures: dict[str, Failure] = {}
    with Pace(store, workers) as pace:
        for event in events:
            bars[event["stage"]].update()
            pace.add(event["stage"], event["seconds"])
            if event["reason"] is not None:
                failure = Failure(event["image_id"], event["stage"], event["reason"])
                failures[failure.image_id] = failure
                store.record_failure(failure)
    return sorted(failures.values(), key=lambda failure: failure.image_id)


def _document(job: Job, share: Sequence[int], missing: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    mine = set(share)
    return {
        "recipe": job.recipe.to_json(),
        "source": job.source.describe(),
        "split": job.split,
        "store": str(job.store.root),
        "device": job.device,
        "calibration": None if job.calibration is None else job.calibration.to_json(),
        "work": {stage: [i for i in todo if i in mine] for stage, todo in missing.items()},
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
        known = document["calibration"]
        runner = StageRunner(
            Job(
                recipe=Recipe.from_json(document["recipe"]),
                source=open_source(**document["source"]),
                split=document["split"],
                store=Store(document["store"]),
                stages=tuple(document["work"]),
                device=document["device"],
                calibration=None if known is None else Calibration.from_json(known),
            )
        )
        for stage, todo in document["work"].items():
            for index in todo:
                tell(runner.attempt(stage, index))
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
