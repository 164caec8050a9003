"""One small street with all that readers stumble over, for each data set to be written in its own layout.

`BUSY` has void, a car, a car of one pixel, a group of persons and a person of its own; `QUIET` has no thing at all. Maps hold
Cityscapes' label ids, `OBJECTS` numbers the things from 1, across classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from mbps_dataset.errors import InputError
from mbps_dataset.sources import Source, open_source


HW = (32, 64)
VOID, ROAD, SKY, PERSON, CAR = 0, 7, 23, 24, 26

BUSY = np.full(HW, ROAD, np.uint8)
BUSY[:4] = VOID
BUSY[8:16, :20] = BUSY[20, 40] = CAR
BUSY[24:30, 50:60] = BUSY[10:20, 30:34] = PERSON
OBJECTS = np.zeros(HW, np.int32)
OBJECTS[8:16, :20], OBJECTS[20, 40], OBJECTS[10:20, 30:34] = 1, 2, 3
GROUP = np.zeros(HW, bool)
GROUP[24:30, 50:60] = True
QUIET = np.full(HW, ROAD, np.uint8)
QUIET[:16] = SKY

BUSY_INSTANCES = BUSY.astype(np.int32)
BUSY_INSTANCES[OBJECTS == 1], BUSY_INSTANCES[OBJECTS == 2], BUSY_INSTANCES[OBJECTS == 3] = 26001, 26002, 24001


def mapped(labels: np.ndarray, table: Mapping[int, int], dtype: type = np.uint8) -> np.ndarray:
    """`labels` in the ids of a data set, given for every label id that occurs."""
    out = np.zeros(labels.shape, dtype)
    for label_id in np.unique(labels).tolist():
        out[labels == label_id] = table[label_id]
    return out


def as_colours(numbers: np.ndarray) -> np.ndarray:
    """``R + 256 G + 65536 B``: uint8 [H, W, 3]."""
    return np.stack([numbers & 255, numbers >> 8 & 255, numbers >> 16], axis=-1).astype(np.uint8)


def check(source: Source, split: str = "train", *, objects: bool = True, changed: Callable | None = None) -> None:
    """The split holds ``busy`` and ``quiet``, by the last part of their ids, with the truth above.

    `changed` takes the expected label ids to those of a data set with fewer classes; without `objects` all things are groups.
    """
    assert source.has_truth and open_source(**source.describe()).frames(split) == source.frames(split)
    frames = {frame.image_id.rsplit("/", 1)[-1].split("_")[-1]: frame for frame in source.frames(split)}
    for name, labels, instances in (("busy", BUSY, BUSY_INSTANCES), ("quiet", QUIET, QUIET.astype(np.int32))):
        expected = changed(labels) if changed else labels
        truth = frames[name].truth()
        assert np.array_equal(truth.label_ids, expected) and truth.label_ids.dtype == np.uint8
        own = instances if objects else expected.astype(np.int32)
        own = np.where(own >= 1000, own, expected) if changed else own
        assert np.array_equal(truth.instance_ids, own) and truth.instance_ids.dtype == np.int32
        assert frames[name].image().shape == (*HW, 3)


def check_missing(source: Source, path: Path, split: str = "train") -> None:
    """A label file that is gone is an error that names it."""
    path.unlink()
    with pytest.raises(InputError, match=path.name):
        [frame.truth() for frame in source.frames(split)]
