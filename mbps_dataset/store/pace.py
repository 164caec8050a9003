"""How fast a build goes: seconds per image and stage, written beside the results while they are made.

Every process that fills a store keeps one small file ``pace/HOST-PROCESS.json``, so that any other process (`mbps info`)
can say how long the rest will take. A file that was touched in the last two minutes belongs to a running process.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from types import TracebackType

from mbps_dataset.store import Store


_SAVE_EVERY_S = 5.0
_RUNNING_S = 120.0


class Pace:
    """Records seconds per image of this process; a context manager, saved now and then and at the end."""

    def __init__(self, store: Store, workers: int) -> None:
        self.store = store
        self.workers = workers
        self.name = f"pace/{socket.gethostname()}-{os.getpid()}.json"
        self.stages: dict[str, list[float]] = (store.get_json(self.name) or {}).get("stages", {})
        self._saved = time.monotonic()

    def add(self, stage: str, seconds: float) -> None:
        """One more image of `stage`, after so many seconds of one worker."""
        images, total = self.stages.get(stage, (0, 0.0))
        self.stages[stage] = [images + 1, total + seconds]
        if time.monotonic() - self._saved > _SAVE_EVERY_S:
            self.save()

    def save(self) -> None:
        self.store.put_json(self.name, {"workers": self.workers, "stages": self.stages})
        self._saved = time.monotonic()

    def __enter__(self) -> Pace:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if kind is None:
            self.save()


def seconds_left(store: Store, missing: Mapping[str, int]) -> float | None:
    """Time for `missing` images per stage at the recorded pace, by all processes that run, else by the last that ran.

    None if nothing has been recorded for a stage that is missing.
    """
    found = [(path.stat().st_mtime, store.get_json(f"pace/{path.name}")) for path in store.root.glob("pace/*.json")]
    records = [(when, record) for when, record in sorted(found, key=lambda pair: pair[0]) if record]
    if not records:
        return None
    running = [record["workers"] for when, record in records if time.time() - when < _RUNNING_S]
    workers = sum(running) if running else records[-1][1]["workers"]
    total = 0.0
    for stage, images in missing.items():
        counted = [record["stages"][stage] for _, record in records if stage in record["stages"]]
        if images and not counted:
            return None
        if images:
            total += images * sum(seconds for _, seconds in counted) / sum(n for n, _ in counted)
    return total / workers
