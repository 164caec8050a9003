"""Parquet files of a label set: which rows each holds, and writing one whole or not at all.

A split is cut into files of nearly equal numbers of rows, in order: as many as the recipe's `rows_per_shard` asks for,
or as many as there are shards to be made by separate processes. A file appears under its name when it is complete
and on the disk.

Beside each file the store keeps a note: the identity of the label set, the SHA-256 of the file, how many images failed,
and a digest per row. A file is finished if its note says so and its content agrees. Notes lost with the store are made
again from the file, if ``labelset.json`` vouches for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import Features

from mbps_dataset.labelling.labelling import Labelling
from mbps_dataset.labelling.stage_row import row_digest
from mbps_dataset.labelset.parquet_files import read_rows, write_rows
from mbps_dataset.store import Store, digest_of, file_digest, replacing


@dataclass(frozen=True)
class Shard:
    """One Parquet file: some images of a split."""

    split: str
    index: int
    count: int
    indices: range

    @property
    def name(self) -> str:
        return f"{self.split}-{self.index:05d}-of-{self.count:05d}"

    def path(self, output: Path) -> Path:
        return output / "data" / f"{self.name}.parquet"


def plan(label_set: Labelling, shards: int | None = None) -> list[Shard]:
    """All files of a label set, `shards` a split, or as many as the recipe's `rows_per_shard` asks for."""
    size, planned = label_set.recipe.output.rows_per_shard, []
    for split in label_set.splits:
        total = len(label_set.frames(split))
        count = max(1, min(total, shards or -(-total // size)))
        edges = [k * total // count for k in range(count + 1)]
        planned += [Shard(split, k, count, range(edges[k], edges[k + 1])) for k in range(count)]
    return planned


@dataclass(frozen=True)
class ShardNote:
    """What is known about a written file."""

    identity: str
    sha256: str
    failed: int
    rows: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {"identity": self.identity, "sha256": self.sha256, "failed": self.failed, "rows": list(self.rows)}


def read_note(store: Store, shard: Shard, identity: str) -> ShardNote | None:
    """The note of a file of this label set; None if there is none."""
    document = store.get_json(f"shards/{shard.name}.json")
    if document is None or document.get("identity") != identity:
        return None
    return ShardNote(identity, document["sha256"], document["failed"], tuple(document["rows"]))


def finished_note(
    store: Store, output: Path, shard: Shard, identity: str, vouched: Mapping[str, str]
) -> ShardNote | None:
    """The note of a file whose content agrees with it; None if the file has to be written.

    `vouched` are names and SHA-256 of files that ``labelset.json`` lists for the same identity.
    """
    try:
        digest = file_digest(shard.path(output))
    except OSError:
        return None
    note = read_note(store, shard, identity)
    if note is not None and note.sha256 == digest:
        return note
    if vouched.get(shard.path(output).name) != digest:
        return None
    rows = tuple(row_digest(row) for row in read_rows(shard.path(output)))
    note = ShardNote(identity, digest, len(shard.indices) - len(rows), rows)
    store.put_json(f"shards/{shard.name}.json", note.to_json())
    return note


def write_shard(
    store: Store, output: Path, shard: Shard, rows: Iterable[Mapping[str, Any]], columns: Features, identity: str
) -> ShardNote:
    """Write one file and its note. Raises `StoreError` if the disk is full; then nothing of it is left."""
    digests: list[str] = []

    def noted() -> Iterator[Mapping[str, Any]]:
        for row in rows:
            digests.append(row_digest(row))
            yield row

    with replacing(shard.path(output), durable=True) as temporary:
        write_rows(temporary, noted(), columns.arrow_schema)
        sha256 = file_digest(temporary)
    note = ShardNote(identity, sha256, len(shard.indices) - len(digests), tuple(digests))
    store.put_json(f"shards/{shard.name}.json", note.to_json())
    return note


def rows_digest(notes: Sequence[tuple[Shard, ShardNote]]) -> str:
    """Digest of the content of a label set: every row of every split in order, however rows are spread over files."""
    by_split: dict[str, list[str]] = {}
    for shard, note in notes:
        by_split.setdefault(shard.split, []).extend(note.rows)
    return digest_of(by_split)
