"""Several processes fill one store; failures are collected, fatal errors end the job with their own message."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence

import pytest

from mbps_dataset.errors import StoreError, WeightsError
from mbps_dataset.labelling import workers
from mbps_dataset.labelling.stage import Run, Visit
from mbps_dataset.labelling.stage_depth import DEPTH
from mbps_dataset.named_recipes import get_recipe
from mbps_dataset.sources import FolderSource, ScenesSource
from mbps_dataset.store import Failure, Store


SCENES = {"train": 2, "validation": 0, "height": 64, "width": 128}


def job(store: Store, stages=(DEPTH,), source=None, *settings: str) -> workers.Job:
    source = source or ScenesSource(**SCENES)
    run = Run(get_recipe("demo").with_settings(settings), store, source=source)
    return workers.Job(run, source, "train", stages)


def fill(each: workers.Job, indices: Sequence[int], count: int = 1) -> list[Failure]:
    with workers.WorkerPool(count) as pool:
        return workers.fill_store(each, indices, pool, progress=False)


def test_two_workers_share_the_images_and_a_second_call_starts_none(tmp_path, monkeypatch):
    each = job(Store(tmp_path))
    assert fill(each, range(2), 2) == []
    assert len(list((tmp_path / "depth").rglob("*.bin"))) == 2
    monkeypatch.setattr(workers, "_start", lambda *_: pytest.fail("a worker was started for nothing"))
    assert fill(each, range(2), 2) == []


def test_a_pool_starts_its_workers_once_and_leaves_none_behind(tmp_path, monkeypatch):
    started, original = [], workers._start
    monkeypatch.setattr(workers, "_start", lambda: started.append(original()) or started[-1])
    with workers.WorkerPool(2) as pool:
        for indices in ([0], [0, 1]):  # one worker, then both
            assert workers.fill_store(job(Store(tmp_path)), indices, pool, progress=False) == []
    assert len(list((tmp_path / "depth").rglob("*.bin"))) == 2
    assert len(started) == 1 and all(process.poll() is not None for process in started)  # the second has one left


def test_failures_are_returned_and_remembered(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/a.png").write_bytes(b"text")
    store = Store(tmp_path / "store")
    failures = fill(job(store, (DEPTH,), FolderSource(tmp_path / "photos")), [0])
    assert [(f.image_id, f.stage) for f in failures] == [("a", "depth")] and "not a PNG" in failures[0].reason
    assert list(store.failures()) == failures


def run_in_process(document: dict) -> list[dict]:
    report = io.StringIO()
    workers._work(document, report)
    return [json.loads(line) for line in report.getvalue().splitlines()]


def document(each: workers.Job) -> dict:
    return {"recipe": each.run.recipe.to_json(), "source": each.source.describe(), "split": "train", "device": "cpu",
            "store": str(each.run.store.root), "calibration": None, "work": [[0, ["depth"]], [1, ["depth"]]]}  # fmt: skip


def test_weights_that_do_not_fit_end_the_job(tmp_path):
    folder = tmp_path / "weights"
    folder.mkdir()
    each = job(Store(tmp_path / "store"), (DEPTH,), None, f"depth.weights={folder}")
    events = run_in_process(document(each))
    assert [event.get("fatal") for event in events] == ["WeightsError"] and "no .safetensors" in events[0]["message"]
    with pytest.raises(WeightsError, match="holds no .safetensors file"):
        fill(each, range(2))


def test_a_full_disk_ends_the_job(tmp_path):
    (tmp_path / "store").write_text("a file where the folder should be")
    each = job(Store(tmp_path / "store"))
    with pytest.raises(StoreError, match="cannot be written .*Everything written so far is kept"):
        fill(each, range(2))


def test_an_unexpected_error_costs_one_image(tmp_path, monkeypatch):
    monkeypatch.setattr(Visit, "result", lambda *_: 1 / 0)
    events = run_in_process(document(job(Store(tmp_path))))
    *reports, last = events
    assert last == workers.DONE and [report["failure"]["reason"] for report in reports] == [
        f"scene_{2_000_000 + k}: ZeroDivisionError: division by zero" for k in range(2)
    ]


def test_a_killed_worker_is_noticed(tmp_path, monkeypatch):
    started = []
    original = workers._start

    def start(*arguments):
        process = original(*arguments)
        process.kill()
        started.append(process)
        return process

    monkeypatch.setattr(workers, "_start", start)
    with pytest.raises(RuntimeError, match="ended with status -9 .*Use fewer --workers.*run the same command again"):
        fill(job(Store(tmp_path)), range(2))
    assert started[0].poll() is not None
