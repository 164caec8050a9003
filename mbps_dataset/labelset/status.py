"""How far a build is: what is done, what failed and why, and how long the rest takes. Reads only; runs no network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mbps_dataset.errors import InputError
from mbps_dataset.labelling import label_rows, workers
from mbps_dataset.labelling.labelling import LabelSet
from mbps_dataset.labelset.document import read_document
from mbps_dataset.labelset.order import BuildOrder
from mbps_dataset.labelset.shards import Shard, plan
from mbps_dataset.sources import Frame
from mbps_dataset.store import Failure
from mbps_dataset.store.pace import seconds_left


@dataclass(frozen=True)
class BuildStatus:
    """`done` images per stage out of `images`; `files` of `planned` Parquet files are written.

    `seconds_left` by the processes that run now, else by as many as ran last; None if no pace is recorded.
    """

    order: BuildOrder
    finished: bool
    images: int
    done: dict[str, int]
    calibrated: bool
    files: int
    planned: int
    failures: tuple[Failure, ...]
    seconds_left: float | None


def build_status(output: Path) -> BuildStatus:
    """The state of the build in `output`. Raises `InputError` if there is none or its source has moved."""
    order = BuildOrder.read(output)
    if order is None:
        raise InputError(
            f"{output} holds neither a label set nor an unfinished build; give the --output of `mbps build`."
        )
    label_set = order.open(output)
    planned = plan(label_set, order.shards)
    failures = tuple(label_set.failures())
    frames = [(split, frame) for split in label_set.splits for frame in label_set.frames(split)]
    missing = _missing(label_set, {failure.image_id for failure in failures})
    return BuildStatus(
        order=order,
        finished=_is_finished(output, order, planned),
        images=len(frames),
        done={stage: len(frames) - count for stage, count in missing.items()},
        calibrated=label_set.stored_calibration() is not None,
        files=sum(shard.path(output).is_file() for shard in planned),
        planned=len(planned),
        failures=failures,
        seconds_left=seconds_left(label_set.store, missing),
    )


def _missing(label_set: LabelSet, failed: set[str]) -> dict[str, int]:
    """Images per stage that are neither stored nor failed; an image whose row is stored needs nothing else."""
    calibration = label_set.stored_calibration()
    stages = (*label_set.pipeline.stages(), label_rows.STAGE)
    counts = dict.fromkeys(stages, 0)
    for split in label_set.splits:
        runner = workers.StageRunner(label_set.job(split, stages, calibration))
        for frame in runner.frames:
            if frame.image_id in failed or _is_stored(runner, label_rows.STAGE, frame):
                continue
            for stage in stages:
                counts[stage] += not _is_stored(runner, stage, frame)
    return counts


def _is_stored(runner: workers.StageRunner, stage: str, frame: Frame) -> bool:
    needs_calibration = stage in (label_rows.STAGE, "pseudo_classes") and runner.job.recipe.clusters.method != "probe"
    if runner.job.calibration is None and (needs_calibration or stage == label_rows.STAGE):
        return False
    try:
        return runner.job.store.path(*runner.address(stage, frame)).is_file()
    except InputError:
        return False


def _is_finished(output: Path, order: BuildOrder, planned: Sequence[Shard]) -> bool:
    document = read_document(output / "labelset.json")
    return (
        document.get("digests", {}).get("recipe") == order.recipe.digest()
        and document.get("source") == dict(order.source)
        and document.get("splits") == list(order.splits)
        and document.get("limit") == order.limit
        and set(document.get("files", {})) == {shard.path(output).name for shard in planned}
        and all(shard.path(output).is_file() for shard in planned)
    )
