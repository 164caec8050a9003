"""Writing a label set to a folder: Parquet shards, ``labelset.json`` and the card.

    output/README.md            card; makes ``load_dataset("output")`` work, with version and digest in its configs
    output/labelset.json        provenance
    output/data/SPLIT-*.parquet the columns, a shard whole or not at all
    output/stages/              the store; can be deleted once the set is finished

The same command run again continues: stage results come from the store, finished shards are recognised by the identity
of the label set and their checksum.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow
import pyarrow.parquet as parquet
from datasets import Features
from tqdm import tqdm

from mbps_dataset import card
from mbps_dataset.errors import InputError, RecipeError, StoreError
from mbps_dataset.labelset import LabelSet
from mbps_dataset.provenance import count_segments, describe, write_document
from mbps_dataset.recipe import Recipe
from mbps_dataset.records import features
from mbps_dataset.store import Failure, write_atomically


ROWS_PER_GROUP = 16
"""Rows a reader must hold in memory at once; small, because a row is a whole image."""

STAGE_BYTES_PER_IMAGE = 1_200_000
LABEL_BYTES_PER_PIXEL = 0.55
"""Rough sizes for the estimate before a build: codes and depth in the store, PNG maps in a row."""


@dataclass(frozen=True)
class BuildResult:
    """What a build did: where it is, how many rows it has, which images failed."""

    root: Path
    rows: int
    failures: tuple[Failure, ...]


def build(
    label_set: LabelSet, output: Path, *, workers: int | None = None, overwrite: bool = False, progress: bool = True
) -> BuildResult:
    """Build a label set into `output` and return what was done.

    Raises `RecipeError` if `output` holds another recipe (unless `overwrite`), `StoreError` if it cannot be written,
    `InputError` if not one image could be labelled.
    """
    _claim(output, label_set.recipe, overwrite)
    identity = label_set.identity()
    plan = _plan(label_set)
    todo = [shard for shard in plan if not _is_finished(label_set, output, shard, identity)]
    if todo:
        label_set.prepare(worker_count=workers, progress=progress)
        columns = features(label_set.class_names, with_image=label_set.recipe.output.with_images)
        with tqdm(total=sum(len(shard.indices) for shard in plan), desc="          labels", unit="img",
                  initial=sum(len(s.indices) for s in plan) - sum(len(s.indices) for s in todo),
                  disable=not progress) as bar:  # fmt: skip
            for shard in todo:
                _write_shard(label_set, output, shard, columns, identity, bar)
    return _finish(label_set, output, plan)


@dataclass(frozen=True)
class Shard:
    """One Parquet file: some images of a split."""

    split: str
    index: int
    count: int
    indices: Sequence[int]

    @property
    def name(self) -> str:
        return f"{self.split}-{self.index:05d}-of-{self.count:05d}"

    def path(self, output: Path) -> Path:
        return output / "data" / f"{self.name}.parquet"


def _plan(label_set: LabelSet) -> list[Shard]:
    size, shards = label_set.recipe.output.rows_per_shard, []
    for split in label_set.splits:
        total = len(label_set.frames(split))
        count = max(1, -(-total // size))
        shards += [Shard(split, k, count, range(k * size, min((k + 1) * size, total))) for k in range(count)]
    return shards


def _claim(output: Path, recipe: Recipe, overwrite: bool) -> None:
    """Make `output` ours, or say why it cannot be."""
    note = output / "recipe.json"
    if note.is_file():
        other = Recipe.from_json(json.loads(note.read_text(encoding="utf-8")))
        if (changed := recipe.differences(other)) and not overwrite:
            raise RecipeError(
                f"{output} holds a label set of another recipe: {'; '.join(changed[:6])}. "
                "Choose another --output, or pass --overwrite to replace it."
            )
    elif output.exists() and any(output.iterdir()) and not (output / "stages").is_dir() and not overwrite:
        raise InputError(f"{output} is not empty and holds no label set; choose an empty folder or pass --overwrite.")
    write_atomically(note, (json.dumps(recipe.to_json(), indent=2) + "\n").encode())


def _is_finished(label_set: LabelSet, output: Path, shard: Shard, identity: str) -> bool:
    note = label_set.store.get_json(f"shards/{shard.name}.json")
    path = shard.path(output)
    return bool(
        note and note["identity"] == identity and not note["failed"] and path.is_file()
        and note["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    )  # fmt: skip


def _write_shard(label_set: LabelSet, output: Path, shard: Shard, columns: Features, identity: str, bar: tqdm) -> None:
    rows = []
    for index in shard.indices:
        rows += [row for _, row in label_set.rows(shard.split, [index])]
        bar.update()
    path = shard.path(output)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        table = pyarrow.Table.from_pylist(rows, schema=columns.arrow_schema)
        parquet.write_table(table, temporary, row_group_size=ROWS_PER_GROUP, write_page_index=True)
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise StoreError(
            f"{path}: cannot be written ({error.strerror or error}). Finished work is kept; free some space and run "
            "the same command again."
        ) from error
    note = {"identity": identity, "rows": len(rows), "failed": len(shard.indices) - len(rows),
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}  # fmt: skip
    label_set.store.put_json(f"shards/{shard.name}.json", note)


def _finish(label_set: LabelSet, output: Path, plan: Sequence[Shard]) -> BuildResult:
    wanted = {shard.path(output) for shard in plan}
    for stray in set((output / "data").glob("*.parquet")) - wanted:
        stray.unlink()
    counts = {
        split: count_segments(sorted(p for p in wanted if p.name.startswith(f"{split}-")), label_set.class_names)
        for split in label_set.splits
    }
    rows = sum(count["rows"] for count in counts.values())
    document = describe(label_set, counts)
    write_document(output / "labelset.json", document)
    if rows == 0:
        reasons = "; ".join(failure.reason for failure in label_set.failures()[:3])
        raise InputError(f"Not one image could be labelled: {reasons}")
    write_atomically(output / "README.md", card.render(document).encode())
    return BuildResult(output, rows, tuple(label_set.failures()))


@dataclass(frozen=True)
class Estimate:
    """What a build will take, before it starts."""

    images: int
    disk_bytes: int
    free_bytes: int


def estimate(label_set: LabelSet, output: Path) -> Estimate:
    """Images and disk space of a build, from the size of the first readable image."""
    frames = [frame for split in label_set.splits for frame in label_set.frames(split)]
    pixels = image_bytes = 0
    for frame in frames[:20]:
        try:
            pixels, image_bytes = frame.image()[..., 0].size, len(frame.image_bytes())
            break
        except InputError:
            continue
    row = pixels * LABEL_BYTES_PER_PIXEL + image_bytes * label_set.recipe.output.with_images
    existing = next((p for p in (output, *output.absolute().parents) if p.exists()), Path("/"))
    return Estimate(len(frames), int(len(frames) * (row + STAGE_BYTES_PER_IMAGE)), shutil.disk_usage(existing).free)
