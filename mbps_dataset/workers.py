"""Filling the store with several processes.

Each worker is a fresh interpreter, not a fork: a process that has run multi-threaded torch and is then forked hangs for
ever in the child (measured), CUDA cannot be used after a fork at all, and ``multiprocessing``'s other start methods run
the user's script a second time unless it has a ``__main__`` guard. A worker gets its job as JSON on standard input,
writes results to the store, and reports one JSON line per image on standard output; the parent draws the bars.

An image that cannot be labelled is recorded as a failure and the others go on. What would fail for every image (a full
disk, weights that do not fit) ends the job with its message; what was finished stays in the store.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any

from tqdm import tqdm

from mbps_dataset.calibration import Calibration
from mbps_dataset.errors import CalibrationError, InputError, RecipeError, StoreError, WeightsError
from mbps_dataset.pipeline import Pipeline
from mbps_dataset.recipe import Recipe
from mbps_dataset.sources import Frame, Source, open_source
from mbps_dataset.store import Failure, Store


STAGE_TITLES = {
    "codes": "semantic codes",
    "pseudo_classes": "pseudo-classes",
    "depth": "depth",
    "saliency": "saliency",
    "cuts": "objects by cuts",
}
_FATAL = {cls.__name__: cls for cls in (RecipeError, WeightsError, CalibrationError, StoreError)}


@dataclass(frozen=True)
class Job:
    """Stages to run over the frames of one split."""

    recipe: Recipe
    source: Source
    split: str
    store: Store
    stages: tuple[str, ...]
    device: str = "cpu"
    calibration: Calibration | None = None


def default_workers(device: str) -> int:
    """One worker per core on the CPU (each runs one thread), one on a GPU."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores if device == "cpu" else 1


def fill_store(job: Job, indices: Sequence[int], *, workers: int, progress: bool) -> list[Failure]:
    """Compute whatever is missing of the job's stages for ``frames(split)[i]``, i in `indices`; return the failures.

    Raises the worker's own error when no image could succeed, `RuntimeError` when a worker dies.
    """
    frames = job.source.frames(job.split)
    pipeline = Pipeline(job.recipe, job.store, job.device)
    missing = {stage: [i for i in indices if _missing(pipeline, stage, frames[i], job)] for stage in job.stages}
    wanted = sorted({i for todo in missing.values() for i in todo})
    if not wanted:
        return []
    workers = max(1, min(workers, len(wanted)))
    bars = {
        stage: tqdm(total=len(indices), initial=len(indices) - len(todo), desc=f"{STAGE_TITLES[stage]:>16} ({job.split})",
                    unit="img", disable=not progress, leave=True)
        for stage, todo in missing.items()
    }  # fmt: skip
    running = [_start(job, wanted[k::workers], missing) for k in range(workers)]
    try:
        return _collect(running, bars, job.store)
    finally:
        for process in running:
            process.kill()
            process.wait()
        for bar in bars.values():
            bar.close()


def _missing(pipeline: Pipeline, stage: str, frame: Frame, job: Job) -> bool:
    try:
        return not pipeline.is_done(stage, frame, job.calibration)
    except InputError:
        return True


def _start(job: Job, share: Sequence[int], missing: dict[str, list[int]]) -> subprocess.Popen[str]:
    mine = set(share)
    document = {
        "recipe": job.recipe.to_json(),
        "source": job.source.describe(),
        "split": job.split,
        "store": str(job.store.root),
        "device": job.device,
        "calibration": None if job.calibration is None else job.calibration.to_json(),
        "work": {stage: [i for i in todo if i in mine] for stage, todo in missing.items()},
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "mbps_dataset.workers"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert process.stdin is not None  # PIPE was asked for
    process.stdin.write(json.dumps(document))
    process.stdin.close()
    return process


def _collect(running: Sequence[subprocess.Popen[str]], bars: dict[str, tqdm], store: Store) -> list[Failure]:
    events: queue.Queue[dict[str, Any] | None] = queue.Queue()
    for process in running:
        threading.Thread(target=_read_events, args=(process, events), daemon=True).start()
    failures: dict[str, Failure] = {}
    finished = 0
    while finished < len(running):
        event = events.get()
        if event is None:
            finished += 1
        elif "fatal" in event:
            raise _FATAL.get(event["fatal"], RuntimeError)(event["message"])
        else:
            bars[event["stage"]].update()
            if event["reason"] is not None:
                failures[event["image_id"]] = Failure(event["image_id"], event["stage"], event["reason"])
    for process in running:
        if process.wait() != 0:
            raise RuntimeError(
                f"A worker ended with status {process.returncode}"
                + (" (killed; too little memory? Use fewer --workers)" if process.returncode < 0 else "")
                + ". Finished images are kept; run the same command again."
            )
    for failure in failures.values():
        store.record_failure(failure)
    return sorted(failures.values(), key=lambda failure: failure.image_id)


def _read_events(process: subprocess.Popen[str], events: queue.Queue[dict[str, Any] | None]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        events.put(json.loads(line))
    events.put(None)


def _work(document: dict[str, Any], report: IO[str]) -> None:
    def tell(event: dict[str, Any]) -> None:
        print(json.dumps(event), file=report, flush=True)

    try:
        calibration = document["calibration"]
        source = open_source(**document["source"])
        frames = source.frames(document["split"])
        pipeline = Pipeline(Recipe.from_json(document["recipe"]), Store(document["store"]), document["device"])
        known = None if calibration is None else Calibration.from_json(calibration)
        for stage, todo in document["work"].items():
            for index in todo:
                tell(
                    {"stage": stage, "image_id": frames[index].image_id}
                    | _attempt(pipeline, stage, frames[index], known)
                )
    except tuple(_FATAL.values()) as error:
        tell({"fatal": type(error).__name__, "message": str(error)})


def _attempt(pipeline: Pipeline, stage: str, frame: Frame, calibration: Calibration | None) -> dict[str, str | None]:
    try:
        pipeline.run(stage, frame, calibration)
    except tuple(_FATAL.values()):
        raise
    except InputError as error:
        return {"reason": str(error)}
    except Exception as error:  # one image must not end the job; the reason is shown and kept
        return {"reason": f"{frame.image_id}: {type(error).__name__}: {error}"}
    return {"reason": None}


def main() -> None:
    """Entry point of a worker process."""
    report = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print must not mix with the report
    _work(json.load(sys.stdin), report)


if __name__ == "__main__":
    main()
