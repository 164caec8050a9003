"""A built label set on disk: Parquet files, ``labelset.json``, card."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow.parquet as parquet

from mbps_dataset.errors import InputError
from mbps_dataset.labelling.calibration import Calibration
from mbps_dataset.records import DecodedRow, decode
from mbps_dataset.sources import Source, open_source


@dataclass(frozen=True)
class BuiltLabelSet:
    """The folder that `mbps build` wrote. Raises `InputError` if it is not one."""

    root: Path

    def __post_init__(self) -> None:
        if not (self.root / "labelset.json").is_file():
            raise InputError(f"{self.root} holds no labelset.json; give the folder that `mbps build --output` wrote.")

    @cached_property
    def document(self) -> dict[str, Any]:
        """``labelset.json``; see `mbps_dataset.labelset.document`."""
        return json.loads((self.root / "labelset.json").read_text(encoding="utf-8"))

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
        return sum(parquet.read_metadata(path).num_rows for path in self.files(split))

    def rows(self, split: str) -> Iterator[DecodedRow]:
        """Decoded rows in order, one in memory at a time."""
        for path in self.files(split):
            for batch in parquet.ParquetFile(path).iter_batches(batch_size=1):
                yield decode(batch.to_pylist()[0])

    def open_source(self) -> Source:
        """The source the set was built from. Raises `InputError` if it has moved."""
        return open_source(**self.document["source"])
