"""Keys and results of stages: one change recomputes that stage and what follows, nothing before it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from mbps_dataset.errors import InputError, RecipeError
from mbps_dataset.labelling.pipeline import Pipeline, one_thread
from mbps_dataset.named_recipes import get_recipe
from mbps_dataset.sources import FolderSource, ScenesSource
from mbps_dataset.stages import semantics
from mbps_dataset.store import Store
from tests.conftest import SMALL_SCENES


METHODS = ("depth-gradient", "watershed", "connected-components", "maskcut", "tokencut", "votecut")
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
        ("instances.method=maskcut", set()),
        ("cuts.masks=5", set()),
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


QUICK_CUTS = ["cuts.size=128", "things.method=all", "fusion.order=overwrite"]


def labelled_by(label_set, *settings: str):
    recipe = get_recipe("demo").with_settings(settings)
    pipeline = Pipeline(recipe, label_set.store, source=label_set.source)
    calibration = replace(label_set, recipe=recipe, _calibration=None).calibration()
    return pipeline.label(label_set.frames("train")[0], calibration)


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


def test_cuts_are_kept_in_the_store_and_follow_their_settings(tmp_path):
    def pipeline(*settings: str) -> Pipeline:
        recipe = get_recipe("demo").with_settings(["instances.method=votecut", "cuts.size=240", *settings])
        return Pipeline(recipe, Store(tmp_path))

    assert pipeline().stages() == (*STAGES, "cuts")
    key = pipeline().key("cuts")
    assert key == pipeline("instances.short_side=256", "instances.fallback=connected-components").key("cuts")
    for changed in ("instances.method=maskcut", "cuts.masks=2", "cuts.threshold=0.3", "cuts.weights=builtin-saliency"):
        assert pipeline(changed).key("cuts") != key
    frame = ScenesSource(**SMALL_SCENES).frames("train")[0]
    found = pipeline("cuts.crf=false", "instances.method=tokencut").objects(frame, 512, 1024)
    assert found.shape == (512, 1024) and len(found)
    again = pipeline("cuts.crf=false", "instances.method=tokencut")
    again._compute = None  # what is stored is not computed again
    assert np.array_equal(again.objects(frame, 512, 1024).masks(), found.masks())


def test_imported_detections_become_instances(small_label_set, tmp_path):
    frame = small_label_set.frames("train")[0]
    masks = np.zeros((3, SMALL_SCENES["height"], SMALL_SCENES["width"]), dtype=bool)
    masks[0, 10:60, 20:90], masks[1, 12:60, 20:90], masks[2, 70:120, 100:200] = True, True, True
    np.savez(tmp_path / f"{frame.image_id}.npz", masks=masks, scores=np.array([0.9, 0.8, 0.3]))
    asked = ["instances.method=detections", f"detections.files={tmp_path}", "things.method=all"]

    def things(*settings: str) -> list[float]:
        segments = labelled_by(small_label_set, *asked, "fusion.order=evaluator", *settings).segments
        return sorted(segment["score"] for segment in segments)

    assert things("detections.max_iou=0.5") == pytest.approx([0.3, 0.9])
    assert things("detections.min_score=0.5", "detections.max_iou=0.5") == pytest.approx([0.9])
    twice = ",".join([str(tmp_path)] * 2)
    assert things(f"detections.files={twice}", "detections.max_iou=0.5") == pytest.approx([0.3, 0.9])
    recipe = get_recipe("demo").with_settings(asked)
    before = Pipeline(recipe, small_label_set.store).weights["detections"]
    np.savez(tmp_path / f"{frame.image_id}.npz", masks=masks[:1])
    assert Pipeline(recipe, small_label_set.store).weights["detections"] != before


def test_detections_that_do_not_fit_are_named(small_label_set, tmp_path):
    asked = ["instances.method=detections", f"detections.files={tmp_path}"]
    np.savez(tmp_path / "somebody_else.npz", masks=np.ones((1, 128, 256), bool))
    with pytest.raises(InputError, match="somebody_else"):
        labelled_by(small_label_set, *asked)
    (tmp_path / "somebody_else.npz").unlink()
    np.savez(tmp_path / f"{small_label_set.frames('train')[0].image_id}.npz", masks=np.ones((1, 128, 255), bool))
    with pytest.raises(InputError, match="the image is 128 x 256"):
        labelled_by(small_label_set, *asked)
    with pytest.raises(InputError, match="no such file or folder of detections"):
        Pipeline(get_recipe("demo").with_settings([*asked[:1], "detections.files=/nope.json"]), Store("x")).weights  # noqa: B018
    with pytest.raises(InputError, match="matched to the images of a source"):
        Pipeline(get_recipe("demo").with_settings(asked), Store("x")).detections  # noqa: B018


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


def test_scores_of_several_scales_are_averaged(small_label_set):
    recipe = get_recipe("demo").with_settings(["semantics.scales=1,1.5", "crf.enabled=false"])
    pipeline = Pipeline(recipe, small_label_set.store, source=small_label_set.source)
    frame = small_label_set.frames("train")[0]
    probe = pipeline._network("cause").probe
    merged = pipeline.merged(frame, lambda codes: semantics.merge_log_probs(codes, probe))
    expected = semantics.multi_scale_log_probs(pipeline._network("cause"), frame.image(), (1.0, 1.5))
    torch.testing.assert_close(merged, expected, rtol=1e-4, atol=1e-4)


def test_a_scale_is_needed():
    with pytest.raises(RecipeError, match="semantics.scales must name at least one size"):
        get_recipe("demo").with_settings(["semantics.scales="])
