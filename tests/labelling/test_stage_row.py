"""Rows through the store: what changes them, and that damage and threads do not."""

from __future__ import annotations

import pytest

from mbps_dataset.labelling import workers
from mbps_dataset.labelling.label_rows import LabelRows
from mbps_dataset.named_recipes import get_recipe
from tests.tiny import tiny_label_set, tiny_settings


@pytest.fixture(scope="module")
def label_set(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    return tiny_label_set(folder, folder / "stages", tiny_settings(folder, 2))


def rows_of(label_set, *settings: str) -> LabelRows:
    recipe = label_set.recipe.with_settings(settings)
    changed = type(label_set)(recipe, label_set.source, label_set.store)
    return LabelRows(changed.pipeline, label_set.calibration())


@pytest.mark.parametrize("setting", ["instances.min_area=30", "fusion.min_stuff_area=5", "output.size=working"])
def test_a_setting_that_changes_labels_changes_the_key(label_set, setting):
    assert rows_of(label_set, setting).key != rows_of(label_set).key


@pytest.mark.parametrize("setting", ["output.rows_per_shard=7", "output.with_images=false"])
def test_how_rows_are_filed_does_not(label_set, setting):
    assert rows_of(label_set, setting).key == rows_of(label_set).key


def test_a_stored_row_is_the_row(label_set, monkeypatch):
    frame = label_set.frames("train")[0]
    made = rows_of(label_set).run(frame)
    monkeypatch.setattr("mbps_dataset.labelling.pipeline.Pipeline.label", lambda *_: pytest.fail("labelled twice"))
    assert rows_of(label_set).run(frame) == made
    assert "image" not in made and made["semantic"]["bytes"].startswith(b"\x89PNG")


def test_changing_instances_runs_no_network_again(label_set, tmp_path, monkeypatch):
    """One stage's settings recompute that stage and what follows, nothing before it."""
    label_set.prepare(worker_count=1, progress=False, isolate=False)
    for stage in ("codes", "pseudo_classes", "depth"):
        monkeypatch.setattr(
            f"mbps_dataset.labelling.pipeline.Pipeline._compute_{stage}", lambda *_: pytest.fail("run again")
        )
    changed = type(label_set)(
        label_set.recipe.with_settings(["instances.min_area=30"]), label_set.source, label_set.store
    )
    changed.prepare(worker_count=1, progress=False, isolate=False)
    assert len(list(changed.rows("train", [0, 1]))) == 2


def test_an_image_that_always_fails_costs_itself_only(label_set, tmp_path, monkeypatch):
    store = type(label_set.store)(tmp_path)
    again, original = type(label_set)(label_set.recipe, label_set.source, store), workers.Pipeline.run

    def run(self, stage, frame, calibration=None):
        if frame.image_id.endswith("1") and stage == "codes":
            raise IndexError("of all\nthings")
        return original(self, stage, frame, calibration)

    monkeypatch.setattr(workers.Pipeline, "run", run)
    again.prepare(worker_count=1, progress=False, isolate=False)
    assert [index for index, _ in again.rows("train", [0, 1])] == [0]
    assert [failure.reason for failure in again.failures()] == ["photo_001: IndexError: of all things"]


def test_rows_need_no_calibration_of_their_own_recipe_name(label_set):
    assert rows_of(label_set).pipeline.recipe.output.with_images is False
    assert label_set.pipeline.recipe.output.with_images is get_recipe("demo").output.with_images
