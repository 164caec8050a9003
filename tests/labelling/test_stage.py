"""Keys and results of stages: one change recomputes that stage and what follows, nothing before it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from mbps_dataset.errors import CalibrationError, InputError, RecipeError
from mbps_dataset.labelling.stage import Run, one_thread
from mbps_dataset.labelling.stage_codes import CODES
from mbps_dataset.labelling.stage_depth import DEPTH
from mbps_dataset.labelling.stage_pseudo_classes import PSEUDO_CLASSES
from mbps_dataset.labelling.stage_row import ROW
from mbps_dataset.labelling.stage_saliency import SALIENCY
from mbps_dataset.named_recipes import get_recipe
from mbps_dataset.sources import FolderSource
from mbps_dataset.store import Store
from tests.tiny import tiny_label_set, tiny_settings, write_photographs


STORED = (CODES, PSEUDO_CLASSES, DEPTH, SALIENCY)


def keys(*settings: str) -> dict[str, str]:
    run = Run(get_recipe("demo").with_settings(settings), Store("unused"))
    return {stage.name: run.key(stage) for stage in STORED}


@pytest.mark.parametrize(
    ("setting", "changed"),
    [
        ("semantics.flip=false", {"codes", "pseudo_classes"}),
        ("crf.iterations=5", {"pseudo_classes"}),
        ("clusters.alpha=2", {"pseudo_classes"}),
        ("depth.flip=none", {"depth"}),
        ("depth.inverse=true", set()),
        ("saliency.variant=true", {"saliency"}),
        ("instances.grad_threshold=0.2", set()),
        ("instances.method=maskcut", set()),
        ("cuts.masks=5", set()),
        ("things.n_things=3", set()),
        ("fusion.min_stuff_area=1", set()),
        ("output.size=working", set()),
    ],
)
def test_a_setting_changes_its_stage_and_what_follows(setting, changed):
    before, after = keys(), keys(setting)
    assert {name for name in before if before[name] != after[name]} == changed


def test_threads_are_given_back():
    before = torch.get_num_threads()
    with one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


def test_keys_are_computed_once_per_run(monkeypatch):
    run, hashed = Run(get_recipe("demo"), Store("unused")), []
    monkeypatch.setattr(
        "mbps_dataset.labelling.stage.digest_of", lambda *parts: hashed.append(parts[0]) or f"digest of {parts[0]}"
    )
    for _ in range(3):
        assert run.key(PSEUDO_CLASSES) == "digest of pseudo_classes"
    assert sorted(hashed) == ["codes", "pseudo_classes"]


def test_keys_hold_the_device_type():
    recipe = get_recipe("demo")
    on_cpu, on_gpu = Run(recipe, Store("unused")), Run(recipe, Store("unused"), "cuda:1")
    assert on_gpu.device_type == "cuda"
    assert all(on_cpu.key(stage) != on_gpu.key(stage) for stage in STORED)
    assert on_gpu.key(CODES) == Run(recipe, Store("unused"), "cuda").key(CODES)


def test_a_row_waits_for_the_calibration(tmp_path):
    label_set = tiny_label_set(tmp_path, tmp_path / "stages", tiny_settings(tmp_path, 1))
    frame, run = label_set.frames("train")[0], label_set.run
    assert not run.is_calibrated and not run.can_compute(ROW) and not run.holds(ROW, frame)
    with pytest.raises(CalibrationError, match="calibrate before labelling"):
        run.visit(frame).result(ROW)
    calibrated = label_set.calibrated_run()
    calibrated.visit(frame).result(ROW)
    assert calibrated.holds(ROW, frame) and calibrated.has_file(ROW, frame)
    assert calibrated.contents is run.contents


def test_an_image_is_decoded_once_on_its_way_to_a_row(tmp_path, monkeypatch):
    label_set = tiny_label_set(tmp_path, tmp_path / "stages", tiny_settings(tmp_path, 2))
    run, decoded = label_set.calibrated_run(), []
    frame = label_set.frames("train")[1]
    again = Run(run.recipe, Store(tmp_path / "again"), "cpu", run.source, run.calibration)
    original = type(frame).image
    monkeypatch.setattr(type(frame), "image", lambda self: decoded.append(self.image_id) or original(self))
    again.visit(frame).result(ROW)
    assert decoded == [frame.image_id]
    assert {path.name for path in (tmp_path / "again").iterdir()} == {"codes", "pseudo_classes", "depth", "labels"}


def test_images_that_cannot_be_read_are_not_visited(tmp_path):
    (tmp_path / "a.png").write_bytes(b"text")
    frames = FolderSource(tmp_path).frames("train")
    run = Run(get_recipe("demo"), Store(tmp_path / "s"))
    assert list(run.visits(frames)) == []
    with pytest.raises(InputError, match="not a PNG"):
        run.visit(frames[0]).image  # noqa: B018


def test_a_scale_is_needed():
    with pytest.raises(RecipeError, match="semantics.scales must name at least one size"):
        get_recipe("demo").with_settings(["semantics.scales="])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_result_that_is_not_finite_is_said_and_not_kept(value, tmp_path):
    source = FolderSource(write_one(tmp_path / "photos"))
    frame = source.frames("train")[0]

    def compute(_):
        return {"depth": np.array([[1.0, value]], np.float32), "size": np.array([1, 2])}

    stage = replace(DEPTH, compute=compute)
    run = Run(get_recipe("demo"), Store(tmp_path / "store"))
    with pytest.raises(
        InputError, match=r"photo_000: 1 of the 2 numbers of depth \(depth\) are NaN or infinite; check"
    ):
        run.visit(frame).result(stage)
    assert not run.holds(stage, frame)


def write_one(folder):
    write_photographs(folder, 1)
    return folder
