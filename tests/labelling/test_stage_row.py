"""Rows through the store: what changes them, and that damage and threads do not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mbps_dataset.labelling import stage_codes
from mbps_dataset.labelling.stage import Run
from mbps_dataset.labelling.stage_row import ROW, label, row_digest, row_of, working_size
from mbps_dataset.named_recipes import get_recipe
from tests.conftest import SMALL_SCENES
from tests.tiny import tiny_label_set, tiny_settings


METHODS = ("depth-gradient", "watershed", "connected-components", "maskcut", "tokencut", "votecut")
QUICK_CUTS = ["cuts.size=128", "things.method=all", "fusion.order=overwrite"]


def labelled_by(label_set, *settings: str):
    recipe = get_recipe("demo").with_settings(settings)
    changed = replace(label_set, recipe=recipe)
    return label(changed.calibrated_run().visit(label_set.frames("train")[0]))


@pytest.fixture(scope="module")
def label_set(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    return tiny_label_set(folder, folder / "stages", tiny_settings(folder, 2))


def run_of(label_set, *settings: str) -> Run:
    recipe = label_set.recipe.with_settings(settings)
    return Run(recipe, label_set.store, source=label_set.source, calibration=label_set.calibration())


@pytest.mark.parametrize("setting", ["instances.min_area=30", "fusion.min_stuff_area=5", "output.size=working"])
def test_a_setting_that_changes_labels_changes_the_key(label_set, setting):
    assert run_of(label_set, setting).key(ROW) != run_of(label_set).key(ROW)


@pytest.mark.parametrize(
    "setting", ["output.rows_per_shard=7", "output.with_images=false", "output.with_preview=false"]
)
def test_how_rows_are_filed_does_not(label_set, setting):
    assert run_of(label_set, setting).key(ROW) == run_of(label_set).key(ROW)


def test_a_stored_row_is_the_row(label_set, monkeypatch):
    frame = label_set.frames("train")[0]
    made = row_of(run_of(label_set).visit(frame))
    monkeypatch.setattr("mbps_dataset.labelling.stage_row.label", lambda *_: pytest.fail("labelled twice"))
    assert row_of(run_of(label_set).visit(frame)) == made
    assert "image" not in made and made["semantic"]["bytes"].startswith(b"\x89PNG")
    assert made["preview"]["bytes"].startswith(b"\xff\xd8")


def test_a_preview_is_no_part_of_what_a_row_says(label_set):
    row = row_of(run_of(label_set).visit(label_set.frames("train")[0]))
    other = row | {"preview": {"bytes": b"drawn by another version", "path": None}}
    without = {name: value for name, value in row.items() if name != "preview"}
    assert row_digest(row) == row_digest(other) == row_digest(without)
    assert row_digest(row) != row_digest(row | {"depth_scale": 3.0})


def test_changing_instances_runs_no_network_again(label_set, tmp_path, monkeypatch):
    """One stage's settings recompute that stage and what follows, nothing before it."""
    label_set.prepare(worker_count=1, progress=False, isolate=False)
    monkeypatch.setattr("mbps_dataset.models.networks.load", lambda *_: pytest.fail("a network was loaded"))
    monkeypatch.setattr("mbps_dataset.sources.depth_files.DepthFiles.read", lambda *_: pytest.fail("depth was read"))
    changed = type(label_set)(
        label_set.recipe.with_settings(["instances.min_area=30"]), label_set.source, label_set.store
    )
    changed.prepare(worker_count=1, progress=False, isolate=False)
    assert len(list(changed.rows("train", [0, 1]))) == 2


def test_an_image_that_always_fails_costs_itself_only(label_set, tmp_path, monkeypatch):
    again = type(label_set)(label_set.recipe, label_set.source, type(label_set.store)(tmp_path))
    original = stage_codes.window_image

    def fail_on_the_second(image, *settings):
        if np.array_equal(image, label_set.frames("train")[1].image()):
            raise IndexError("of all\nthings")
        return original(image, *settings)

    monkeypatch.setattr(stage_codes, "window_image", fail_on_the_second)
    again.prepare(worker_count=1, progress=False, isolate=False)
    assert [index for index, _ in again.rows("train", [0, 1])] == [0]
    assert [failure.reason for failure in again.failures()] == ["photo_001: IndexError: of all things"]


def test_labels_are_complete_and_consistent(small_label_set):
    frame = small_label_set.frames("train")[0]
    labelled = label(small_label_set.calibrated_run().visit(frame))
    shape = (SMALL_SCENES["height"], SMALL_SCENES["width"])
    assert labelled.semantic.shape == labelled.depth.shape == labelled.panoptic.shape == shape
    assert (labelled.depth > 0).all() and np.isfinite(labelled.depth).all()
    assert labelled.panoptic.max() == len(labelled.segments)
    for segment in labelled.segments:
        inside = labelled.panoptic == segment["id"]
        assert (labelled.semantic[inside] == segment["category_id"]).mean() > 0.5


def test_working_size_follows_the_short_side(small_label_set):
    assert working_size(small_label_set.recipe, 1024, 2048) == (512, 1024)
    assert working_size(small_label_set.recipe, 375, 1242) == (512, 1696)
    assert working_size(small_label_set.recipe, 800, 600) == (683, 512)


@pytest.mark.parametrize("method", METHODS)
def test_instance_methods_fit_the_pipeline(small_label_set, method):
    labelled = labelled_by(small_label_set, f"instances.method={method}", "instances.merge=true", *QUICK_CUTS)
    assert all(segment["isthing"] for segment in labelled.segments)


@pytest.mark.parametrize("method", METHODS)
def test_the_fallback_fills_what_a_method_leaves(small_label_set, method):
    plain = labelled_by(small_label_set, f"instances.method={method}", *QUICK_CUTS)
    hybrid = labelled_by(
        small_label_set,
        f"instances.method={method}",
        "instances.fallback=connected-components",
        "instances.fallback_min_area=1",
        *QUICK_CUTS,
    )
    assert (hybrid.panoptic > 0).mean() > 0.98 > (plain.panoptic > 0).mean()
    assert {segment["score"] for segment in hybrid.segments} >= {0.1}


@pytest.mark.parametrize("order", ["report", "evaluator", "overwrite"])
def test_every_order_of_fusion_can_be_asked_for(small_label_set, order):
    assert labelled_by(small_label_set, f"fusion.order={order}", "things.method=all").segments
