"""A build spread over many processes or machines by datatrove's executors; nothing here schedules anything.

Decisions: the calibration is taken once, before any shard (or two shards would wait for each other's images); a task is
one shard, which is one Parquet file a split, written whole or not at all; the last step is an ordinary build, which finds
every shard finished and writes what belongs to the whole set, or makes what a lost task did not. datatrove's own markers
of finished tasks are set from our checksums before each launch, so that a damaged shard is made again.

A task is told the output folder and nothing else: what to build stands there. datatrove hands a Slurm task its executor
as a pickle that it writes and reads itself, in ``stages/executor/``; this package loads none.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mbps_dataset.errors import InputError
from mbps_dataset.labelling.labelling import Labelling
from mbps_dataset.labelset.build import BuildResult, build, vouched_files
from mbps_dataset.labelset.order import BuildOrder, claim
from mbps_dataset.labelset.shards import finished_note, plan


def opened(output: str) -> Labelling:
    """The label set that a folder is to hold. Raises `InputError` if it does not say."""
    order = BuildOrder.read(Path(output))
    if order is None:
        raise InputError(f"{output} does not say what it is to hold; run `mbps build --executor` again.")
    return order.open(Path(output))


@dataclass
class Calibrate:
    """Step of a task: take the calibration."""

    output: str
    workers: int

    def __call__(self, data: Any, rank: int, world_size: int) -> None:
        opened(self.output).calibrated_run(worker_count=self.workers, isolate=False)


@dataclass
class BuildShard:
    """Step of a task: make the shard of its rank."""

    output: str
    workers: int

    def __call__(self, data: Any, rank: int, world_size: int) -> None:
        shard = (rank, world_size)
        build(opened(self.output), Path(self.output), workers=self.workers, progress=False, shard=shard)


@dataclass
class Complete:
    """Step of a task: write what belongs to the whole set, and whatever is missing."""

    output: str
    workers: int

    def __call__(self, data: Any, rank: int, world_size: int) -> None:
        build(opened(self.output), Path(self.output), workers=self.workers, progress=False)


def build_with_executor(
    label_set: Labelling,
    output: Path,
    executor: str,
    *,
    tasks: int | None,
    at_a_time: int | None = None,
    options: Sequence[str] = (),
    overwrite: bool = False,
    progress: bool = True,
) -> BuildResult | None:
    """Build in `tasks` shards through `executor` "local", "ray" or "slurm", `at_a_time` of them in parallel.

    `options` are ``name=value`` arguments of datatrove's executor; ``cpus_per_task`` is also the number of workers of a
    task. Returns None for "slurm", whose jobs are then submitted. Raises what `build` raises, and `InputError` for a
    missing package or an option that the executor does not have.
    """
    if tasks is None:
        raise InputError("--executor needs --tasks N, the number of shards that the images are cut into.")
    cls = _executor_class(executor)
    given = _options(options, cls)
    output = output.absolute()
    claim(output, label_set, tasks, overwrite)
    folder = output / "stages" / "executor" / f"{label_set.identity[:16]}-{tasks}"
    _mark_finished(label_set, output, tasks, folder)
    workers = int(given.get("cpus_per_task", 1))
    shard = [BuildShard(str(output), workers)]
    shared = {"tasks": tasks, "workers": at_a_time or -1, "logging_dir": str(folder)}
    if executor == "slurm":
        _submit(cls, label_set, output, shard, shared, given, workers)
        return None
    label_set.calibrated_run(worker_count=at_a_time or workers, progress=progress)
    with _ray_running() if executor == "ray" else nullcontext():
        cls(pipeline=shard, **shared, **given).run()
    return build(label_set, output, workers=at_a_time, progress=progress)


def _executor_class(executor: str) -> Any:
    extra = "ray" if executor == "ray" else "cluster"
    try:
        from datatrove import executor as executors

        if executor == "ray":
            import ray  # noqa: F401 - datatrove imports it late, in its tasks
    except ImportError as error:
        raise InputError(
            f"--executor {executor} needs the package {error.name!r}: pip install 'mbps-dataset[{extra}]'."
        ) from None
    if executor == "ray":
        from datatrove.executor.ray import RayPipelineExecutor

        return RayPipelineExecutor
    return {"local": executors.LocalPipelineExecutor, "slurm": executors.SlurmPipelineExecutor}[executor]


def _options(options: Sequence[str], cls: Any) -> dict[str, Any]:
    """``["time=04:00:00", "sbatch_args.account=x"]`` as keyword arguments of an executor."""
    known = set(inspect.signature(cls.__init__).parameters) - {"self", "pipeline", "tasks", "workers", "logging_dir"}
    given: dict[str, Any] = {}
    for option in options:
        name, equals, text = option.partition("=")
        first, dot, second = name.partition(".")
        if not equals or first not in known:
            raise InputError(f"{option!r} is no option of {cls.__name__}; it has {', '.join(sorted(known))}.")
        value = int(text) if text.isdigit() else {"true": True, "false": False}.get(text, text)
        if dot:
            given.setdefault(first, {})[second] = value
        else:
            given[first] = value
    return given


def _mark_finished(label_set: Labelling, output: Path, tasks: int, folder: Path) -> None:
    """Let datatrove skip exactly those tasks whose shards are written, undamaged and without failures."""
    identity = label_set.identity
    vouched = vouched_files(output, identity)
    unfinished = set()
    for each in plan(label_set, tasks):
        note = finished_note(label_set.store, output, each, identity, vouched)
        if note is None or note.failed:
            unfinished.add(each.index)
    markers = folder / "completions"
    markers.mkdir(parents=True, exist_ok=True)
    for rank in range(tasks):
        marker, statistics = markers / f"{rank:05d}", folder / "stats" / f"{rank:05d}.json"
        if rank in unfinished:
            marker.unlink(missing_ok=True)
        else:
            marker.touch()
            statistics.parent.mkdir(exist_ok=True)
            if not statistics.is_file():
                statistics.write_text("[]")  # datatrove adds up the statistics of all tasks


def _submit(
    cls: Any, label_set: Labelling, output: Path, shard: list[BuildShard], shared: Mapping[str, Any],
    given: dict[str, Any], workers: int,
) -> None:  # fmt: skip
    """Submit three Slurm jobs that wait for each other: calibration, array of shards, completion."""
    for needed, example in (("partition", "gpu"), ("time", "04:00:00")):
        if needed not in given:
            raise InputError(f"Slurm needs --executor-option {needed}=…, for instance {needed}={example}.")
    if not {"env_command", "condaenv", "venv_path"} & set(given) and Path(sys.prefix, "bin/activate").is_file():
        given["venv_path"] = str(Path(sys.prefix, "bin/activate"))
    folder, before = Path(shared["logging_dir"]), None
    alone = given | {"tasks": 1, "skip_completed": False}
    if label_set.stored_run() is None:
        steps = [Calibrate(str(output), workers)]
        before = cls(pipeline=steps, logging_dir=f"{folder}-calibrate", **alone | {"job_name": "mbps-calibrate"})
    shards = cls(pipeline=shard, depends=before, **shared, **{"job_name": "mbps-shards"} | given)
    cls(
        pipeline=[Complete(str(output), workers)],
        depends=shards,
        logging_dir=f"{folder}-complete",
        **alone | {"job_name": "mbps-complete"},
    ).run()


@contextmanager
def _ray_running() -> Iterator[None]:
    """The Ray cluster of ``RAY_ADDRESS``, or one on this machine for as long as the build takes."""
    import ray

    if ray.is_initialized():
        yield
        return
    ray.init(include_dashboard=False, log_to_driver=False, configure_logging=False)
    try:
        yield
    finally:
        ray.shutdown()
