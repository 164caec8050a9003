"""Keys and results of stages: one change recomputes that stage and what follows, nothing before it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mbps_dataset.pipeline import Pipeline, one_thread
from mbps_dataset.recipe import get_recipe
from mbps_dataset.sources import FolderSource, ScenesSource
from mbps_dataset.store import Store
from tests.conftest import SMALL_SCENES


STAGES = ("codes", "pseudo_classes", "depth", "saliency")


def keys(*settings: str) -> dict[str, str]:
    pipeline = Pipeline(get_recipe("demo").with_settings(settings), Store("unused"))
    return {stage: pipeline.key(stage) for stage in STAGES}


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
        ("things.n_things=3", set()),
        ("fusion.min_stuff_area=1", set()),
        ("output.size=working", set()),
    ],
)
def test_a_setting_changes_its_stage_and_what_follows(setting, changed):
    before, after = keys(), keys(setting)
    assert {stage for stage in STAGES if before[stage] != after[stage]} == changed


def test_threads_are_given_back():
    before = torch.get_num_threads()
    with one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


def test_labels_are_complete_and_consistent(small_label_set):
    frame = small_label_set.frames("train")[0]
    labelled = small_label_set.pipeline.label(frame, small_label_set.calibration())
    shape = (SMALL_SCENES["height"], SMALL_SCENES["width"])
    assert labelled.semantic.shape == labelled.depth.shape == labelled.panoptic.shape == shape
    assert (labelled.depth > 0).all() and np.isfinite(labelled.depth).all()
    assert labelled.panoptic.max() == len(labelled.segments)
    for segment in labelled.segments:
        inside = labelled.panoptic == segment["id"]
        assert (labelled.semantic[inside] == segment["category_id"]).mean() > 0.5


def test_working_size_follows_the_short_side(small_label_set):
    assert small_label_set.pipeline.working_size(1024, 2048) == (512, 1024)
    assert small_label_set.pipeline.working_size(375, 1242) == (512, 1696)
    assert small_label_set.pipeline.working_size(800, 600) == (683, 512)


@pytest.mark.parametrize("method", ["depth-gradient", "watershed", "connected-components"])
def test_instance_methods_fit_the_pipeline(small_label_set, method):
    recipe = get_recipe("demo").with_settings(
        [f"instances.method={method}", "instances.merge=true", "things.method=all"]
    )
    pipeline = Pipeline(recipe, small_label_set.store)
    labelled = pipeline.label(small_label_set.frames("train")[0], small_label_set.calibration())
    assert labelled.segments


def test_depth_from_files_is_used_and_follows_their_content(small_store, tmp_path):
    photos, depths = tmp_path / "photos", tmp_path / "depths"
    photos.mkdir()
    depths.mkdir()
    frame = ScenesSource(**SMALL_SCENES).frames("train")[0]
    (photos / "a.png").write_bytes(frame.image_bytes())
    ramp = np.tile(np.linspace(1, 50, SMALL_SCENES["width"], dtype=np.float32), (SMALL_SCENES["height"], 1))
    np.save(depths / "a.npy", ramp)
    recipe = get_recipe("demo").with_settings(["depth.method=files", f"depth.files={depths}"])
    pipeline = Pipeline(recipe, Store(tmp_path / "store"))
    photo = FolderSource(photos).frames("train")[0]
    assert np.allclose(pipeline.depth_map(photo, *ramp.shape), ramp)
    before = pipeline.input_digest(photo)
    np.save(depths / "a.npy", ramp * 2)
    again = Pipeline(recipe, Store(tmp_path / "store"))
    assert again.input_digest(photo) != before
    assert np.allclose(again.depth_map(photo, *ramp.shape), ramp * 2)
