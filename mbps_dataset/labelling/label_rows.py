"""Label rows through the store: instances, fusion and PNG coding of an image are done once, by whichever process.

A row without its `image` column is a stored result like those of the stages. Cutting instances and coding maps takes as
long as a small network does, so workers do it in parallel, and Parquet files are then put together from stored rows in
any grouping. The original image is not kept a second time: it is read from its source when the row is written.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from mbps_dataset.labelling.calibration import Calibration
from mbps_dataset.labelling.pipeline import STAGE_VERSIONS, Pipeline
from mbps_dataset.records import FORMAT_VERSION, encode
from mbps_dataset.sources import Frame
from mbps_dataset.store import digest_of


STAGE = "labels"
_FILES_ONLY = {"rows_per_shard", "with_images"}
"""Settings that decide how rows are filed, not what they say."""


class LabelRows:
    """Rows of a calibrated recipe."""

    def __init__(self, pipeline: Pipeline, calibration: Calibration) -> None:
        self.calibration = calibration
        self.store = pipeline.store
        self.pipeline = copy.copy(pipeline)
        output = replace(pipeline.recipe.output, with_images=False)
        self.pipeline.recipe = replace(pipeline.recipe, output=output)

    @cached_property
    def key(self) -> str:
        """Digest of everything but the image that decides a row: every setting, all weights, the calibration."""
        settings = self.pipeline.recipe.settings()
        settings["output"] = {k: v for k, v in settings["output"].items() if k not in _FILES_ONLY}
        made_by = {stage: self.pipeline.key(stage, self.calibration) for stage in self.pipeline.stages()}
        return digest_of(
            STAGE,
            STAGE_VERSIONS[STAGE],
            FORMAT_VERSION,
            settings,
            sorted(self.pipeline.weights.items()),
            made_by,
            self.calibration.to_json(),
        )

    def input_digest(self, frame: Frame) -> str:
        """Digest of all files that a row of `frame` is made from. Raises `InputError`."""
        return digest_of([self.pipeline.input_digest(frame, stage) for stage in self.pipeline.stages()])

    def run(self, frame: Frame) -> dict[str, Any]:
        """The row without `image`, from the store or made now. Raises `InputError` for a bad image."""
        digest = self.input_digest(frame)
        stored = self.store.get(STAGE, self.key, frame.image_id, digest)
        if stored is not None:
            return _from_arrays(stored)
        labelled = self.pipeline.label(frame, self.calibration)
        row = encode(labelled, len(self.calibration.classes), self.calibration.palette(), with_image=False)
        self.store.put(STAGE, self.key, frame.image_id, digest, _to_arrays(row))
        return row


def _to_arrays(row: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Bytes of every image column, and the rest of the row as JSON, as uint8 arrays."""
    coded = {name: value["bytes"] for name, value in row.items() if _is_image(value)}
    coded["."] = json.dumps({name: value for name, value in row.items() if not _is_image(value)}).encode()
    return {name: np.frombuffer(data, dtype=np.uint8) for name, data in coded.items()}


def _from_arrays(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    row = json.loads(arrays["."].tobytes())
    return row | {name: {"bytes": a.tobytes(), "path": None} for name, a in arrays.items() if name != "."}


def _is_image(value: Any) -> bool:
    return isinstance(value, Mapping) and "bytes" in value


def row_digest(row: Mapping[str, Any]) -> str:
    """Hex SHA-256 over a row's columns by name; the same whether the row was just made or read back from Parquet."""
    digest = hashlib.sha256()
    for name in sorted(row):
        value = row[name]
        data = value["bytes"] if _is_image(value) else json.dumps(value, sort_keys=True).encode()
        digest.update(f"{name} {len(data)}\n".encode())
        digest.update(data)
    return digest.hexdigest()
