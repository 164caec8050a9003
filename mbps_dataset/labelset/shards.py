"""Parquet files of a label set: which rows each holds, and writing one whole or not at all.

A split is cut into files of nearly equal numbers of rows, in order: as many as the recipe's `rows_per_shard` asks for,
or as many as there are shards to be made by separate processes. A file is written in groups of `ROWS_PER_GROUP` rows,
so that memory does not grow with its length, and appears under its name when it is complete and on the disk.

Beside each file the store keeps a note: the identity of the label set, the SHA-256 of the file, how many images failed,
and a digest per row. A file is finished if its note says so and its content agrees. Notes lost with the store are made
again from the file, if ``labelset.json`` vouches for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet as parquet
from datasets import Features

from mbps_dataset.labelling.label_rows import row_digest
from mbps_dataset.labelling.labelling import LabelSet
from mbps_dataset.store import Store, digest_of, file_digest, replacing


ROWS_PER_GROUP = 16
"""Rows a reader or writer must hold in memory at once; small, because a row is a whole image."""


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


def plan(label_set: LabelSet, shards: int | None = None) -> list[Shard]:
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
    rows = tuple(row_digest(row) for row in _read_rows(shard.path(output)))
    note = ShardNote(identity, digest, len(shard.indices) - len(rows), rows)
    store.put_json(f"shards/{shard.name}.json", note.to_json())
    return note


def _read_rows(path: Path) -> Iterator[dict[str, Any]]:
    for batch in parquet.ParquetFile(path).iter_batches(batch_size=1):
        yield batch.to_pylist()[0]


def write_shard(
    store: Store, output: Path, shard: Shard, rows: Iterable[Mapping[str, Any]], columns: Features, identity: str
) -> ShardNote:
    """Write one file and its note. Raises `StoreError` if the disk is full; then nothing of it is left."""
    path, digests = shard.path(output), []
    with replacing(path, durable=True) as temporary:
        with parquet.ParquetWriter(temporary, columns.arrow_schema, write_page_index=True) as writer:
            remaining = iter(rows)
            while group := list(islice(remaining, ROWS_PER_GROUP)):
                digests += [row_digest(row) for row in group]
                table = pyarrow.Table.from_pylist(group, schema=columns.arrow_schema)
                writer.write_table(table, row_group_size=ROWS_PER_GROUP)
                del group, table  # or two groups would be in memory while the next is read
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
