"""Moving objects of a frame, what they do to its labels, and what is told where there are none."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from mbps_dataset.errors import InputError, RecipeError
from mbps_dataset.labelling.labelling import Labelling
from mbps_dataset.labelling.stage import Run
from mbps_dataset.labelling.stage_motion import (
    MOTION,
    aligned_classes,
    counted_motion,
    find_moving_objects,
    motion_summary,
    moving_objects,
    why_nothing_moves,
)
from mbps_dataset.labelling.stage_row import with_aligned_objects
from mbps_dataset.labelling.whole_set import calibration_key
from mbps_dataset.labelset.build import build
from mbps_dataset.labelset.document_file import intact_document
from mbps_dataset.labelset.parquet_files import read_rows
from mbps_dataset.named_recipes import get_recipe
from mbps_dataset.records import decode
from mbps_dataset.sources import FolderSource, ScenesSource, StereoFolderSource
from mbps_dataset.stage_settings import MotionSettings
from mbps_dataset.stages.motion.instance_maps import map_of_instances
from mbps_dataset.stages.motion.scene_flow import scene_flow
from mbps_dataset.store import Store
from tests.labelling.stereo_streets import MOTION_SETTINGS, STREETS, frames, write_street
from tests.stages.motion.scenes import BASELINE, INTRINSICS, slanted_wall


pytest.importorskip("cv2", reason="OpenCV is not installed (pip install 'mbps-dataset[motion]')")


def recipe_of(*settings: str):
    return get_recipe("demo").with_settings([*MOTION_SETTINGS, *settings])


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def car(store):
    """A visit of the street with the moving car."""
    return Run(recipe_of(), store).visit(frames()[1])


def test_the_moving_car_is_found_as_a_whole(car):
    found, truth = moving_objects(car, 192, 384), frames()[1].truth()
    assert truth.moving_ids and len(found) >= 1 and why_nothing_moves(car) is None
    masks, moving = found.masks(), [truth.instance_ids == number for number in truth.moving_ids]
    assert max((mask & true).sum() / (mask | true).sum() for mask in masks for true in moving) > 0.5
    assert moving_objects(car, 96, 192).shape == (96, 192)


def test_every_object_has_one_class_and_the_rest_keeps_its_own(car):
    semantic = np.random.default_rng(0).integers(0, 27, (192, 384)).astype(np.uint8)
    aligned, objects = aligned_classes(car, semantic), map_of_instances(moving_objects(car, 192, 384))
    assert np.array_equal(aligned[objects == 0], semantic[objects == 0])
    for number in range(1, objects.max() + 1):
        inside = objects == number
        assert np.unique(aligned[inside]).tolist() == [np.bincount(semantic[inside]).argmax()]


def test_without_alignment_pixels_keep_their_class_and_the_calibration_knows(car, store):
    recipe = recipe_of("fusion.align_objects=false")
    plain, other = Run(recipe_of(), store), Run(recipe, store)
    semantic = np.random.default_rng(0).integers(0, 27, (192, 384)).astype(np.uint8)
    assert aligned_classes(other.visit(car.frame), semantic) is semantic
    assert plain.key(MOTION) == other.key(MOTION)
    inside = counted_motion(other.visit(car.frame), semantic, 27).inside
    assert inside.sum() == counted_motion(car, semantic, 27).inside.sum() and (inside > 0).all()
    assert calibration_key(plain, [car.frame]) != calibration_key(other, [car.frame])


def test_a_moving_object_of_stuff_becomes_a_thing_if_the_recipe_says_so(car, store):
    semantic = np.random.default_rng(0).integers(0, 27, (192, 384)).astype(np.uint8)
    objects = map_of_instances(moving_objects(car, 192, 384)) > 0
    assert np.array_equal(with_aligned_objects(car, semantic, (3,)), aligned_classes(car, semantic))
    visit = Run(recipe_of("fusion.moving_stuff=thing"), store).visit(car.frame)
    found = with_aligned_objects(visit, semantic, (3,))
    assert (found[objects] == 3).all() and np.array_equal(found[~objects], semantic[~objects])
    with pytest.raises(RecipeError, match="set fusion.align_objects=true too"):
        recipe_of("fusion.moving_stuff=thing", "fusion.align_objects=false")


def test_settings_of_motion_decide_motion_and_not_flow(store):
    plain, other = Run(recipe_of(), store), Run(recipe_of("motion.seed=3"), store)
    assert plain.key(MOTION) != other.key(MOTION)
    assert plain.key(MOTION) != Run(recipe_of("flow.preset=fast"), store).key(MOTION)
    assert plain.key(MOTION) == Run(recipe_of("things.psi=0.2"), store).key(MOTION)


@pytest.mark.parametrize("method", ["independent", "rigid"])
def test_a_wall_that_stands_gives_no_object_and_a_reason(method):
    flow = scene_flow(slanted_wall(), INTRINSICS, BASELINE, depth_range=(1.0, 70.0))
    found = find_moving_objects(flow, MotionSettings(method=method, runs=2))
    assert not found.labels.any() and found.reason
    too_few = scene_flow(slanted_wall(), INTRINSICS, BASELINE, depth_range=(69.0, 70.0))
    reason = find_moving_objects(too_few, MotionSettings(method=method, runs=2)).reason
    assert reason == "only 0 pixels have a reliable scene flow, where 512 are needed"


def test_thresholds_of_the_recipe_reach_both_methods(monkeypatch):
    seen = []

    def noted(flow, settings, *, seed, images=None):
        seen.append((settings, seed))

    for method in ("independent", "rigid"):
        monkeypatch.setattr(f"mbps_dataset.labelling.stage_motion.{method}_motion", noted)
        chosen = MotionSettings(
            method=method, seed=5, runs=3, connectivity=4, agreement=0.7, least_motion_px=2.5, least_object_px=33,
            geometry="reference",
        )  # fmt: skip
        find_moving_objects(None, chosen)
        find_moving_objects(None, MotionSettings(method=method))
    (independent, seed), (plain, _), (rigid, _), (plain_rigid, _) = seen
    assert seed == 5
    assert [(each.least_motion_px, each.least_object_px) for each in (independent, rigid)] == [(2.5, 33)] * 2
    assert (rigid.runs, rigid.connectivity, rigid.agreement, rigid.reference) == (3, 4, 0.7, True)
    assert (plain_rigid.runs, plain_rigid.connectivity, plain_rigid.reference) == (8, 8, False)
    assert plain == type(plain)() and plain_rigid == type(plain_rigid)()


def test_reasons_are_counted_without_their_numbers(tmp_path):
    source = StereoFolderSource(write_street(tmp_path / "street"))
    run = Run(recipe_of("motion.nearest_m=69", "motion.farthest_m=70"), Store(tmp_path / "store"))
    assert motion_summary(run, source.frames("train")) == {
        "images_with_objects": 0,
        "objects": 0,
        "reasons": {
            "only … pixels have a reliable scene flow, where … are needed": 2,
            "no next frame in its sequence": 1,
        },
    }
    (source.root / "left/2.png").write_bytes(b"no image")
    assert (
        sum(motion_summary(run, source.frames("train"))["reasons"].values()) == 2
    )  # what cannot be read is a failure


def test_depth_alone_from_two_eyes_has_no_objects_to_count(tmp_path):
    recipe = get_recipe("demo").with_settings(["depth.method=stereo"])
    summary = motion_summary(Run(recipe, Store(tmp_path)), frames()[:1])
    assert summary == {"images_with_objects": 0, "objects": 0, "reasons": {}}


def test_a_label_set_from_motion_is_built_resumed_and_tells_its_reasons(tmp_path, store):
    fast = ("crf.enabled=false", "semantics.flip=false")
    label_set = Labelling(recipe_of(*fast), ScenesSource(**STREETS), store)
    build(label_set, tmp_path / "set", workers=1, progress=False)
    document = intact_document(tmp_path / "set/labelset.json")
    summary = document["motion"]["train"]
    assert summary["images_with_objects"] == 1 and sum(summary["reasons"].values()) == 1
    assert document["supervision"]["flow and disparity"].startswith("none")
    assert document["supervision"]["depth"].startswith("none: geometry") and document["ground_truth_used"] == []
    assert "depth network" not in document["supervision"] and "saliency backbone" not in document["supervision"]
    things = document["calibration"]["things"]
    assert things and all(
        "above psi = 0.08" in c["reason"] for c in document["calibration"]["classes"] if c["isthing"]
    )
    rows = list(read_rows(next((tmp_path / "set/data").glob("*.parquet")), None))
    for row in map(decode, rows):
        left_over = np.isin(row.semantic, things) & (row.panoptic == 0)
        assert not left_over.any()  # unlabelled pixels of thing classes are void
    assert sum(segment["isthing"] for row in rows for segment in row["segments_info"]) >= 1

    for stage in ("motion", "labels"):
        shutil.rmtree(store.root / stage)
    build(Labelling(recipe_of(*fast), ScenesSource(**STREETS), store), tmp_path / "again", workers=1, progress=False)
    assert intact_document(tmp_path / "again/labelset.json")["files"] == document["files"]


def test_a_source_without_stereo_video_is_refused_before_anything_runs(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/a.png").write_bytes(frames()[0].image_bytes())
    source, store = FolderSource(tmp_path / "photos"), Store(tmp_path / "store")
    with pytest.raises(InputError, match=r"no stereo video in 'train': no image of the right eye \(1 of 1\)"):
        Labelling(recipe_of(), source, store)
    with pytest.raises(InputError, match=r"no stereo pairs in 'train': .* Depth from stereo needs a right eye"):
        Labelling(get_recipe("demo").with_settings(["depth.method=stereo"]), source, store)
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("motion.connectivity=6", "motion.connectivity must be 4 or 8, but is 6"),
        ("motion.nearest_m=80", "motion.nearest_m is 80, beyond motion.farthest_m, 70"),
    ],
)
def test_settings_that_cannot_be_are_refused(setting, message):
    with pytest.raises(RecipeError, match=message):
        recipe_of(setting)
