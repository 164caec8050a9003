"""The log tells of every step once, whatever was cut off."""

from __future__ import annotations

from pathlib import Path

import pytest

from mbps_dataset.errors import StoreError
from mbps_dataset.training.panoptic.log import TrainingLog, read_log


def test_lines_beyond_the_checkpoint_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "run/log.jsonl"
    log = TrainingLog(path, start=0)
    for step in (10, 20, 30):
        log.write({"step": step, "loss": 1.0 / step})
    with path.open("a") as stream:
        stream.write('{"step": 40, "lo')  # a kill
    assert [entry["step"] for entry in read_log(path)] == [10, 20, 30]
    TrainingLog(path, start=20).write({"step": 30, "loss": 7.0})
    assert [(entry["step"], entry["loss"]) for entry in read_log(path)] == [(10, 0.1), (20, 0.05), (30, 7.0)]


def test_no_file_is_an_empty_log(tmp_path: Path) -> None:
    assert read_log(tmp_path / "none.jsonl") == []
    TrainingLog(None, start=0).write({"step": 1})


def test_a_full_disk_says_what_to_do(tmp_path: Path) -> None:
    log = TrainingLog(tmp_path / "log.jsonl", start=0)
    log.path = Path("/dev/full")
    with pytest.raises(StoreError, match=r"/dev/full: cannot be written \(No space left on device\); free some space"):
        log.write({"step": 1})
