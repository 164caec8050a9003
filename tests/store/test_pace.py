"""How fast a build goes, told between processes by small files."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from mbps_dataset.store import Store
from mbps_dataset.store.pace import Pace, seconds_left


def write_pace(store: Store, name: str, workers: int, stages: dict[str, list[float]], age_s: float) -> None:
    store.put_json(f"pace/{name}.json", {"workers": workers, "stages": stages})
    os.utime(store.root / f"pace/{name}.json", (time.time() - age_s,) * 2)


def test_time_left_counts_the_processes_that_run(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert seconds_left(store, {"depth": 1}) is None
    write_pace(store, "old", 5, {"depth": [10, 20.0]}, age_s=9000)
    assert seconds_left(store, {"depth": 10}) == 4  # 2 s each, by five workers
    write_pace(store, "a", 1, {"depth": [10, 40.0], "codes": [4, 4.0]}, age_s=1)
    write_pace(store, "b", 2, {}, age_s=3)
    assert seconds_left(store, {"depth": 10, "codes": 3}) == (10 * 3 + 3 * 1) / 3
    assert seconds_left(store, {"saliency": 1}) is None and seconds_left(store, {"saliency": 0}) == 0
    (tmp_path / "pace/a.json").write_text(json.dumps({"workers": 1}))
    assert seconds_left(store, {"depth": 10}) == 10


def test_a_process_goes_on_with_its_own_record(tmp_path: Path) -> None:
    for _ in range(2):
        with Pace(Store(tmp_path), 2) as pace:
            pace.add("depth", 1.5)
    assert pace.stages == {"depth": [2, 3.0]} and seconds_left(Store(tmp_path), {"depth": 4}) == 3
