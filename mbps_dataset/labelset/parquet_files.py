"""The one reader and writer of Parquet files of rows.

Decisions (ours): rows are read by name of column, so that a reader of segments never touches photos or depth, and a
column that is not there is an error (pyarrow leaves it out without a word); one row, or one group of `ROWS_PER_GROUP`
rows, is in memory at a time; what pyarrow says of a damaged file becomes one line with the file's name.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import accumulate, islice
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet as parquet

from mbps_dataset.errors import InputError


Row = dict[str, Any]

ROWS_PER_GROUP = 16
"""Rows a reader or writer must hold in memory at once; small, because a row is a whole image."""

MEND = "run the same `mbps build` again, or download it again."


def count_rows(files: Iterable[Path]) -> int:
    """Rows of all `files`, from their footers. Raises `InputError` if one is damaged."""
    counted = 0
    for path in files:
        with _opened(path) as opened:
            counted += opened.metadata.num_rows
    return counted


def read_schema(path: Path) -> pyarrow.Schema:
    """Names and types of the columns. Raises `InputError` if the file is damaged."""
    with _opened(path) as opened:
        return opened.schema_arrow


def read_rows(path: Path, columns: Sequence[str] | None = None) -> Iterator[Row]:
    """Rows in order, one in memory at a time, of all columns or only `columns`.

    Raises `InputError` if the file is damaged or lacks a column.
    """
    with _opened(path, columns) as opened:
        for batch in opened.iter_batches(batch_size=1, columns=_listed(columns)):
            yield from batch.to_pylist()


def read_row(path: Path, index: int, columns: Sequence[str] | None = None) -> Row:
    """One row by its number; its group stays in memory, so that neighbours cost nothing.

    Raises `InputError` if the file is damaged or lacks a column.
    """
    content = path, _stamp(path)
    starts = _group_starts(*content)
    group = bisect_right(starts, index) - 1
    return _group(*content, group, None if columns is None else tuple(columns))[index - starts[group]]


def read_rows_at(files: Sequence[Path], indices: Sequence[int], columns: Sequence[str] | None = None) -> Iterator[Row]:
    """Rows by their number over all `files`, in order, reading only the groups that hold them.

    Raises `InputError` if a file is damaged or lacks a column.
    """
    first = 0
    for path in files:
        count = count_rows([path])
        for index in indices:
            if first <= index < first + count:
                yield read_row(path, index - first, columns)
        first += count


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]], schema: pyarrow.Schema) -> None:
    """Write `rows` in groups of `ROWS_PER_GROUP`. Raises `OSError` if the disk is full."""
    remaining = iter(rows)
    with parquet.ParquetWriter(path, schema, write_page_index=True) as writer:
        while group := list(islice(remaining, ROWS_PER_GROUP)):
            table = pyarrow.Table.from_pylist(group, schema=schema)
            writer.write_table(table, row_group_size=ROWS_PER_GROUP)
            del group, table  # or two groups would be in memory while the next is read


def copy_columns(source: Path, target: Path, schema: pyarrow.Schema) -> None:
    """Copy the columns of `schema`: same rows, groups and bytes; other columns are not even read.

    Raises `InputError` if `source` is damaged or lacks a column, `OSError` if the disk is full.
    """
    with parquet.ParquetWriter(target, schema, write_page_index=True) as writer:
        for table in _tables(source, schema.names):
            writer.write_table(table.replace_schema_metadata(schema.metadata), row_group_size=max(len(table), 1))


def _tables(path: Path, columns: Sequence[str]) -> Iterator[pyarrow.Table]:
    with _opened(path, columns) as opened:
        for group in range(opened.num_row_groups):
            yield opened.read_row_group(group, columns=_listed(columns)).select(columns)


def _listed(columns: Sequence[str] | None) -> list[str] | None:
    return None if columns is None else list(columns)


@contextmanager
def _opened(path: Path, columns: Sequence[str] | None = None) -> Iterator[parquet.ParquetFile]:
    try:
        with parquet.ParquetFile(path) as opened:
            if missing := sorted(set(columns or ()) - set(opened.schema_arrow.names)):
                raise InputError(f"{path}: has no column {missing[0]!r}, only {', '.join(opened.schema_arrow.names)}.")
            yield opened
    except (OSError, pyarrow.ArrowException, UnicodeDecodeError) as error:
        raise InputError(f"{path}: damaged or not there ({' '.join(str(error).split())}); {MEND}") from error


def _stamp(path: Path) -> tuple[int, ...]:
    """What changes when another file takes the place of this one; 0 if there is none, which reading then says."""
    try:
        status = path.stat()
    except OSError:
        return (0,)
    return status.st_size, status.st_mtime_ns, status.st_ino


@lru_cache(maxsize=64)
def _group_starts(path: Path, stamp: tuple[int, ...]) -> tuple[int, ...]:
    with _opened(path) as opened:
        lengths = [opened.metadata.row_group(group).num_rows for group in range(opened.num_row_groups)]
    return tuple(accumulate(lengths[:-1], initial=0))


@lru_cache(maxsize=1)
def _group(path: Path, stamp: tuple[int, ...], group: int, columns: tuple[str, ...] | None) -> list[Row]:
    with _opened(path, columns) as opened:
        return opened.read_row_group(group, columns=_listed(columns)).to_pylist()
