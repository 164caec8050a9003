"""A built label set on disk: Parquet files, ``labelset.json``, card."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mbps_dataset.errors import InputError
from mbps_dataset.labelling.calibration import Calibration
from mbps_dataset.labelset.document_file import NAME, read_document
from mbps_dataset.labelset.parquet_files import MEND, count_rows, read_rows
from mbps_dataset.records import DecodedRow, decode
from mbps_dataset.sources import Source, open_source


@dataclass(frozen=True)
class LabelSetFolder:
    """The folder that `mbps build` wrote. Raises `InputError` if it is not one."""

    root: Path

    def __post_init__(self) -> None:
        if not (self.root / NAME).is_file():
            read_document(self.root / NAME)  # raises, saying what is expected

    @cached_property
    def document(self) -> dict[str, Any]:
        """``labelset.json``; see `mbps_dataset.labelset.document`. Raises `InputError` if it is damaged."""
        return read_document(self.root / NAME)

    @cached_property
    def calibration(self) -> Calibration:
        """Classes, things and cluster names of the set."""
        return Calibration.from_json(self.document["calibration"])

    @property
    def splits(self) -> tuple[str, ...]:
        return tuple(self.document["splits"])

    def files(self, split: str) -> list[Path]:
        """Parquet files of a split, in order. Raises `InputError` for an unknown split."""
        if split not in self.splits:
            raise InputError(f"{self.root}: no split {split!r}; there is {', '.join(self.splits)}.")
        return sorted((self.root / "data").glob(f"{split}-*.parquet"))

    def row_count(self, split: str) -> int:
        """Rows of a split. Raises `InputError` if they are not what ``labelset.json`` counts, or a file is damaged."""
        rows, counted = count_rows(self.files(split)), self.document["counts"][split]["rows"]
        if rows != counted:
            raise InputError(f"{self.root}: the split {split!r} has {rows} rows, but {NAME} counts {counted}; {MEND}")
        return rows

    def rows(self, split: str) -> Iterator[DecodedRow]:
        """Decoded rows in order, one in memory at a time. Raises `InputError` for a damaged file."""
        for path in self.files(split):
            yield from map(decode, read_rows(path))

    def open_source(self, *, data_dir: Path | None = None, with_truth: bool = True) -> Source:
        """The source the set was built from; `data_dir` is where its images lie now.

        Without `with_truth` a folder of truth beside a folder of images is not looked for. Raises `InputError`, naming
        what was typed, if the source has moved.
        """
        arguments = dict(self.document["source"])
        if data_dir is not None:
            arguments["data_dir"] = str(data_dir)
        if not with_truth:
            arguments.pop("truth_dir", None)
        try:
            return open_source(**arguments)
        except InputError as error:
            if data_dir is not None:
                raise
            raise InputError(f"{error} {self.root} was built from there.") from None
