"""Writing a label set to a folder: Parquet shards, ``labelset.json`` and the card.

    output/README.md            card; makes ``load_dataset("output")`` work, with version and digest in its configs
    output/labelset.json        provenance, with the digest of all rows and of every Parquet file
    output/recipe.json          what the folder is claimed for, from the first moment
    output/data/SPLIT-*.parquet the columns, a shard whole or not at all
    output/stages/              the store; can be deleted once the set is finished

The same command run again continues: rows come from the store, finished shards are recognised by the identity of the
label set and their checksum. Shards can be made by separate processes; whoever finishes the last one, or a build without
`shard`, writes what belongs to the whole set.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mbps_dataset.errors import InputError, StoreError
from mbps_dataset.labelling.labelling import Labelling
from mbps_dataset.labelset import card
from mbps_dataset.labelset.document import count_segments, describe
from mbps_dataset.labelset.document_file import intact_document, write_document
from mbps_dataset.labelset.order import claim
from mbps_dataset.labelset.shards import Shard, ShardNote, finished_note, plan, read_note, rows_digest, write_shard
from mbps_dataset.records import features
from mbps_dataset.store import Failure, holds_bytes, remove_abandoned, write_atomically
from mbps_dataset.store.progress import ProgressBar


STAGE_BYTES_PER_IMAGE = 1_200_000
LABEL_BYTES_PER_PIXEL = 0.55
"""Rough sizes for the estimate before a build: codes and depth in the store, PNG maps in a row and in the store."""

_ATTEMPTS = 3
"""Times that finishing is tried when another process takes files away."""


@dataclass(frozen=True)
class BuildResult:
    """What a build did: where it is, how many rows the set has, which images failed, whether the whole set is there."""

    root: Path
    rows: int
    failures: tuple[Failure, ...]
    finished: bool = True


def build(
    label_set: Labelling,
    output: Path,
    *,
    workers: int | None = None,
    overwrite: bool = False,
    progress: bool = True,
    shard: tuple[int, int] | None = None,
) -> BuildResult:
    """Build a label set into `output` and return what was done.

    `shard` (i, n) makes the i-th of n files of each split, counted from 0, and the set's own files if it was the last
    one missing. Raises `RecipeError` if `output` holds another recipe, `InputError` if it holds other images (both unless
    `overwrite`) or if not one image could be labelled, `StoreError` if it cannot be written.
    """
    if shard is not None and not 0 <= shard[0] < shard[1]:
        raise InputError(f"There is no shard {shard[0]} of {shard[1]}; shards are counted from 0 to {shard[1] - 1}.")
    order = claim(output, label_set, None if shard is None else shard[1], overwrite)
    planned = plan(label_set, order.shards)
    mine = planned if shard is None else [each for each in planned if each.index == shard[0]]
    for _ in range(_ATTEMPTS):
        notes = _write_missing(label_set, output, mine, workers, progress)
        if shard is not None and not _all_written(label_set, output, planned):
            rows = sum(len(note.rows) for note in notes)
            failed = {label_set.frames(each.split)[i].image_id for each in mine for i in each.indices}
            failures = tuple(failure for failure in label_set.failures() if failure.image_id in failed)
            return BuildResult(output, rows, failures, finished=False)
        try:
            return _finish(label_set, output, planned)
        except FileNotFoundError:  # another process has finished another selection of images meanwhile
            mine = planned
    raise StoreError(
        f"{output}: another process keeps writing a different selection of images into it; stop one of them."
    )


def _write_missing(
    label_set: Labelling, output: Path, shards: Sequence[Shard], workers: int | None, progress: bool
) -> list[ShardNote]:
    """Write those of `shards` that are not finished, and return the notes of all."""
    identity, vouched = label_set.identity, vouched_files(output, label_set.identity)
    found = {each: finished_note(label_set.store, output, each, identity, vouched) for each in shards}
    todo = [each for each, note in found.items() if note is None or note.failed]
    if todo:
        images: dict[str, list[int]] = {}
        for each in todo:
            images.setdefault(each.split, []).extend(each.indices)
        label_set.prepare(images, worker_count=workers, progress=progress, isolate=False)
        held = label_set.recipe.output
        columns = features(label_set.class_names, with_image=held.with_images, with_preview=held.with_preview)
        total, left = (sum(len(each.indices) for each in some) for some in (shards, todo))
        with ProgressBar("parquet", total, done=total - left, show=progress) as bar:
            for each in todo:
                found[each] = write_shard(
                    label_set.store, output, each, _rows(label_set, each, bar), columns, identity
                )
    return [note for note in found.values() if note is not None]


def _rows(label_set: Labelling, shard: Shard, bar: ProgressBar) -> Iterator[dict[str, Any]]:
    for index in shard.indices:
        yield from (row for _, row in label_set.rows(shard.split, [index]))
        bar.update()


def _all_written(label_set: Labelling, output: Path, planned: Sequence[Shard]) -> bool:
    identity = label_set.identity
    return all(
        each.path(output).is_file() and read_note(label_set.store, each, identity) is not None for each in planned
    )


def vouched_files(output: Path, identity: str) -> Mapping[str, str]:
    """Names and SHA-256 of the Parquet files that an undamaged ``labelset.json`` of this identity lists."""
    document = intact_document(output / "labelset.json")
    return document.get("files", {}) if document.get("identity") == identity else {}


def _finish(label_set: Labelling, output: Path, planned: Sequence[Shard]) -> BuildResult:
    """Write what belongs to the whole set, unless it is there. Raises `FileNotFoundError` if a shard is gone."""
    with label_set.store.alone("finish"):
        noted = [(each, read_note(label_set.store, each, label_set.identity)) for each in planned]
        if any(note is None or not each.path(output).is_file() for each, note in noted):
            raise FileNotFoundError
        notes = [(each, note) for each, note in noted if note is not None]
        files = {each.path(output).name: note.sha256 for each, note in notes}
        for stray in sorted((output / "data").glob("*.parquet")):
            if stray.name not in files:
                stray.unlink(missing_ok=True)
        failures = tuple(label_set.failures())
        if not _describes(output, label_set, files, failures):
            _write_documents(label_set, output, planned, files, rows_digest(notes))
            remove_abandoned(output)
    rows = sum(len(note.rows) for _, note in notes)
    if rows == 0:
        reasons = "; ".join(failure.reason for failure in failures[:3])
        raise InputError(f"Not one image could be labelled: {reasons}")
    return BuildResult(output, rows, failures)


def _describes(output: Path, label_set: Labelling, files: Mapping[str, str], failures: Sequence[Failure]) -> bool:
    """Whether the set's own files are there and say what would be written now."""
    document = intact_document(output / "labelset.json")
    return (
        document.get("identity") == label_set.identity
        and document.get("files") == dict(files)
        and document.get("source") == label_set.source.describe()
        and document.get("limit") == label_set.limit
        and document.get("left_out", {}) == dict(label_set.source.left_out)
        and [failure["reason"] for failure in document.get("failures", [])] == [each.reason for each in failures]
        and holds_bytes(output / "README.md", card.render(document).encode())
    )


def _write_documents(
    label_set: Labelling, output: Path, planned: Sequence[Shard], files: Mapping[str, str], digest: str
) -> None:
    counts = {
        split: count_segments((each.path(output) for each in planned if each.split == split), label_set.class_names)
        for split in label_set.splits
    }
    document = describe(label_set, counts)
    document["digests"]["rows"] = digest
    document["files"] = dict(files)
    write_document(output / "labelset.json", document)
    if any(count["rows"] for count in counts.values()):
        write_atomically(output / "README.md", card.render(document).encode())


@dataclass(frozen=True)
class Estimate:
    """What a build will take, before it starts."""

    images: int
    disk_bytes: int
    free_bytes: int


def estimate(label_set: Labelling, output: Path) -> Estimate:
    """Images and disk space of a build, from the size of the first readable image."""
    frames = [frame for split in label_set.splits for frame in label_set.frames(split)]
    pixels = image_bytes = 0
    for frame in frames[:20]:
        try:
            pixels, image_bytes = frame.image()[..., 0].size, len(frame.image_bytes())
            break
        except InputError:
            continue
    row = 2 * pixels * LABEL_BYTES_PER_PIXEL + image_bytes * label_set.recipe.output.with_images
    existing = next((p for p in (output, *output.absolute().parents) if p.exists()), Path("/"))
    return Estimate(len(frames), int(len(frames) * (row + STAGE_BYTES_PER_IMAGE)), shutil.disk_usage(existing).free)
