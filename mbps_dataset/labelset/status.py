"""How far a build is: what is done, what failed and why, and how long the rest takes. Reads only; runs no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mbps_dataset.errors import InputError, RecipeError
from mbps_dataset.labelling.labelling import Labelling
from mbps_dataset.labelling.road import stages_of
from mbps_dataset.labelling.stage_row import ROW
from mbps_dataset.labelset.document_file import intact_document, is_prediction
from mbps_dataset.labelset.order import BuildOrder
from mbps_dataset.labelset.shards import Shard, plan
from mbps_dataset.recipe import Recipe
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
    if order is None and is_prediction(output):
        raise InputError(f"{output} holds a prediction that is unfinished; the same `mbps predict` continues it.")
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
        calibrated=label_set.stored_run() is not None,
        files=sum(shard.path(output).is_file() for shard in planned),
        planned=len(planned),
        failures=failures,
        seconds_left=seconds_left(label_set.store, missing),
    )


def _missing(label_set: Labelling, failed: set[str]) -> dict[str, int]:
    """Images per stage that are neither stored nor failed; an image whose row is stored needs nothing else."""
    run, stages = label_set.stored_run() or label_set.run, stages_of(label_set.recipe)
    counts = {stage.name: 0 for stage in stages}
    for split in label_set.splits:
        for frame in label_set.frames(split):
            if frame.image_id in failed or run.has_file(ROW, frame):
                continue
            for stage in stages:
                counts[stage.name] += not run.has_file(stage, frame)
    return counts


def _is_finished(output: Path, order: BuildOrder, planned: Sequence[Shard]) -> bool:
    document = intact_document(output / "labelset.json")
    return (
        _is_of(document, order.recipe)
        and document.get("source") == dict(order.source)
        and document.get("splits") == list(order.splits)
        and document.get("limit") == order.limit
        and set(document.get("files", {})) == {shard.path(output).name for shard in planned}
        and all(shard.path(output).is_file() for shard in planned)
    )


def _is_of(document: Mapping[str, Any], recipe: Recipe) -> bool:
    """Whether a ``labelset.json`` is of this recipe, whichever version wrote it."""
    try:
        return not Recipe.from_json(document["recipe"]).differences(recipe)
    except (KeyError, RecipeError):
        return False
