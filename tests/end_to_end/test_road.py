"""The road from an image to its row is short and runs one way, seen by following every call of one image.

A hop is a step into another file of the package that the data passes: where the image is read, each stage and the
equations it calls first, the row, its coding (resizing by neighbours is vocabulary). What lies inside the equations and
networks, what finds files and judges settings before anything runs (`_runs` of a stage: which recipes run it), and what
names and keeps results (keys, digests, the store), is no part of the road, nor is what draws a row for the eye
(`labelling.drawing`). A reversal is a call from a folder into one that stands later in the order of imports; a network that
was handed to an equation, and Python's own imports, are none.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import mbps_dataset
from mbps_dataset.labelling.labelling import Labelling
from mbps_dataset.labelling.road import stages_of
from mbps_dataset.labelling.stage import Run
from mbps_dataset.labelling.workers import pass_through
from mbps_dataset.sources import FolderSource
from mbps_dataset.store import Store
from tests.test_imports import LEVEL


ROOT = str(Path(mbps_dataset.__file__).parent)
BESIDE_THE_ROAD = (
    "store", "recipe", "settings", "taxonomy", "resizing", "reading", "sources/membership", "labelling/contents",
    "labelling/drawing", "labelling/fit", "models/networks", "models/saved_network",
)  # fmt: skip
INSIDE = ("stages", "models")


def calls(work: Callable[[], object]) -> list[tuple[str, str]]:
    """Pairs of files (caller, called) of the package, each once, in the order they first occur."""
    found: dict[tuple[str, str], None] = {}

    def follow(frame: FrameType, event: str, _: object) -> None:
        called = frame.f_code.co_filename
        if event != "call" or not called.startswith(ROOT) or frame.f_code.co_name == "_runs":
            return
        caller = frame.f_back
        while caller is not None and not caller.f_code.co_filename.startswith(ROOT):
            caller = caller.f_back
        if caller is not None and caller.f_code.co_filename != called:
            found[tuple(name[len(ROOT) + 1 : -3] for name in (caller.f_code.co_filename, called))] = None

    sys.setprofile(follow)
    try:
        work()
    finally:
        sys.setprofile(None)
    return list(found)


def test_from_image_to_row_in_twenty_hops_without_a_reversal(small_label_set, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/a.png").write_bytes(small_label_set.frames("train")[0].image_bytes())
    label_set = Labelling(small_label_set.recipe, FolderSource(tmp_path / "photos"), Store(tmp_path / "store"))
    calibration, (frame,) = small_label_set.calibration(), label_set.frames("train")
    run = Run(label_set.recipe, label_set.store, calibration=calibration)
    pairs = calls(lambda: list(pass_through(run, frame, stages_of(run.recipe))))

    pairs = [pair for pair in pairs if pair[1] != "hub/registration"]  # asked by every late import
    level = [tuple(LEVEL[name.partition("/")[0]] for name in pair) for pair in pairs]
    upward = [pair for pair, (caller, called) in zip(pairs, level) if called > caller]
    assert [pair for pair in upward if not (pair[0].startswith("stages") and pair[1].startswith("models"))] == []
    road: dict[str, None] = {"labelling/workers": None}
    for caller, called in pairs:
        inside = caller.startswith(INSIDE) and called.startswith(INSIDE)
        if not inside and not called.startswith(BESIDE_THE_ROAD) and called != "labelling/road":
            road[called] = None
    assert list(road)[-1] == "records" and len(road) - 1 <= 20, list(road)
