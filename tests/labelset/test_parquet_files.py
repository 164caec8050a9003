"""Rows of Parquet files: by column, by number, and damaged ones."""

from __future__ import annotations

from pathlib import Path

import pyarrow
import pyarrow.parquet as parquet
import pytest

from mbps_dataset.errors import InputError
from mbps_dataset.labelset import parquet_files
from mbps_dataset.labelset.parquet_files import (
    ROWS_PER_GROUP,
    copy_columns,
    count_rows,
    read_row,
    read_rows,
    read_rows_at,
    read_schema,
    write_rows,
)


SCHEMA = pyarrow.schema({"image_id": pyarrow.string(), "image": pyarrow.binary(), "segments_info": pyarrow.list_(
    pyarrow.struct({"id": pyarrow.int64()}))})  # fmt: skip


def rows_of(count: int, first: int = 0) -> list[dict]:
    return [{"image_id": f"{first + k}", "image": bytes(100), "segments_info": [{"id": k}]} for k in range(count)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    write_rows(tmp_path / "a.parquet", iter(rows_of(40)), SCHEMA)
    return tmp_path / "a.parquet"


def test_rows_come_back_in_groups_of_a_fixed_size(file: Path) -> None:
    assert list(read_rows(file)) == rows_of(40)
    metadata = parquet.read_metadata(file)
    assert [metadata.row_group(k).num_rows for k in range(3)] == [ROWS_PER_GROUP, ROWS_PER_GROUP, 8]
    assert count_rows([file, file]) == 80 and read_schema(file).names == SCHEMA.names


def test_no_rows_are_a_file_without_rows(tmp_path: Path) -> None:
    write_rows(tmp_path / "none.parquet", [], SCHEMA)
    assert list(read_rows(tmp_path / "none.parquet")) == [] and count_rows([tmp_path / "none.parquet"]) == 0


def test_only_the_columns_asked_for_are_read(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = ["segments_info", "image_id"]
    expected = [{key: row[key] for key in wanted} for row in rows_of(40)]
    assert list(read_rows(file, wanted)) == expected
    assert [read_row(file, index, wanted) for index in (0, 17, 39)] == [expected[k] for k in (0, 17, 39)]
    assert read_row(file, 17).keys() == set(SCHEMA.names)


@pytest.mark.parametrize("read", [lambda path: list(read_rows(path, ["depth"])), lambda path: read_row(path, 0, ["depth"]),
                                  lambda path: copy_columns(path, path.with_name("b"), pyarrow.schema({"depth": "int8"}))])  # fmt: skip
def test_a_column_that_is_not_there_is_an_error(file: Path, read) -> None:
    with pytest.raises(InputError, match="a.parquet: has no column 'depth', only image_id, image, segments_info"):
        read(file)


@pytest.mark.parametrize("group", [3, 16, 100])
def test_rows_by_number_over_files_with_groups_of_any_size(tmp_path: Path, group: int, monkeypatch) -> None:
    files = [tmp_path / "0.parquet", tmp_path / "empty.parquet", tmp_path / "1.parquet"]
    for path, rows in zip(files, (rows_of(20), [], rows_of(20, first=20))):
        parquet.write_table(pyarrow.Table.from_pylist(rows, schema=SCHEMA), path, row_group_size=group)
    found = read_rows_at(files, [0, 2, 3, 19, 20, 38, 39], ["image_id"])
    assert [row["image_id"] for row in found] == ["0", "2", "3", "19", "20", "38", "39"]


def test_a_file_that_took_the_place_of_another_is_read(file: Path) -> None:
    assert read_row(file, 0)["image_id"] == "0"
    write_rows(file.with_name("b"), rows_of(2, first=7), SCHEMA)
    file.with_name("b").replace(file)
    assert read_row(file, 0)["image_id"] == "7"


def test_a_copy_keeps_rows_and_groups_without_reading_other_columns(file: Path, monkeypatch) -> None:
    schema = pyarrow.schema([SCHEMA.field("image_id"), SCHEMA.field("segments_info")])
    copy_columns(file, file.with_name("b.parquet"), schema)
    assert list(read_rows(file.with_name("b.parquet"))) == list(read_rows(file, schema.names))
    assert parquet.read_metadata(file.with_name("b.parquet")).num_row_groups == 3


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1 torn PAR1", None])
@pytest.mark.parametrize(
    "read", [lambda p: list(read_rows(p)), lambda p: read_row(p, 0), lambda p: count_rows([p]), read_schema]
)
def test_a_damaged_or_missing_file_is_one_line(tmp_path: Path, content: bytes | None, read) -> None:
    path = tmp_path / "x.parquet"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(
        InputError, match=r"x.parquet: damaged or not there \(.*\); run the same `mbps build` again"
    ) as said:
        read(path)
    assert "\n" not in str(said.value)


def test_a_page_that_was_damaged_is_one_line(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[4:60] = b"\xff" * 56
    file.write_bytes(bytes(content))
    with pytest.raises(InputError, match="a.parquet: damaged"):
        list(read_rows(file))


def test_text_that_is_no_utf8_is_one_line(tmp_path: Path) -> None:
    """pyarrow hands a damaged text on, and Python finds it."""
    path = tmp_path / "a.parquet"
    parquet.write_table(pyarrow.table({"image_id": pyarrow.array([b"\xff_0"]).view(pyarrow.string())}), path)
    for read in (lambda: list(read_rows(path)), lambda: read_row(path, 0)):
        with pytest.raises(InputError, match="a.parquet: damaged or not there .*can't decode byte 0xff"):
            read()


def test_one_group_at_a_time_is_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are taken from their source group by group, not all at once."""
    taken, written = [], []

    class Writer(parquet_files.parquet.ParquetWriter):
        def write_table(self, table, **options):
            written.append((len(taken), table.num_rows))
            super().write_table(table, **options)

    monkeypatch.setattr(parquet_files.parquet, "ParquetWriter", Writer)
    write_rows(tmp_path / "x", (taken.append(row) or row for row in rows_of(40)), SCHEMA)
    assert written == [(16, 16), (32, 16), (40, 8)]
