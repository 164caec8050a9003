"""Depth of an image, from files here; networks are covered by whole rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mbps_dataset.labelling.stage import Run
from mbps_dataset.labelling.stage_depth import DEPTH, clipped_depth, depth_map, depth_shape
from mbps_dataset.named_recipes import get_recipe
from mbps_dataset.recipe import Recipe
from mbps_dataset.records import encode_depth
from mbps_dataset.sources import FolderSource, Frame, ScenesSource
from mbps_dataset.store import Store
from tests.conftest import SMALL_SCENES


def test_depth_from_files_is_used_and_follows_their_content(tmp_path):
    photos, depths = tmp_path / "photos", tmp_path / "depths"
    photos.mkdir()
    depths.mkdir()
    frame = ScenesSource(**SMALL_SCENES).frames("train")[0]
    (photos / "a.png").write_bytes(frame.image_bytes())
    ramp = np.tile(np.linspace(1, 50, SMALL_SCENES["width"], dtype=np.float32), (SMALL_SCENES["height"], 1))
    np.save(depths / "a.npy", ramp)
    recipe = get_recipe("demo").with_settings(["depth.method=files", f"depth.files={depths}"])
    run = Run(recipe, Store(tmp_path / "store"))
    photo = FolderSource(photos).frames("train")[0]
    assert np.allclose(depth_map(run.visit(photo), *ramp.shape), ramp)
    before = DEPTH.inputs(run, photo)
    np.save(depths / "a.npy", ramp * 2)
    again = Run(recipe, Store(tmp_path / "store"))
    assert DEPTH.inputs(again, photo) != before
    assert np.allclose(depth_map(again.visit(photo), *ramp.shape), ramp * 2)


def street() -> np.ndarray:
    """A box at 8 m before a wall that recedes from 10 to 60 m."""
    depth = np.tile(np.linspace(10, 60, SMALL_SCENES["width"], dtype=np.float32), (SMALL_SCENES["height"], 1))
    depth[40:100, 150:220] = 8
    return depth


def seen(tmp_path: Path, depth: np.ndarray, *settings: str) -> tuple[Recipe, np.ndarray, Run, Frame]:
    """Recipe, depth map, run and frame of one photograph with this depth."""
    (tmp_path / "photos").mkdir(exist_ok=True)
    (tmp_path / "depths").mkdir(exist_ok=True)
    (tmp_path / "photos/a.png").write_bytes(ScenesSource(**SMALL_SCENES).frames("train")[0].image_bytes())
    np.save(tmp_path / "depths/a.npy", depth)
    recipe = get_recipe("demo").with_settings(["depth.method=files", f"depth.files={tmp_path / 'depths'}", *settings])
    run, frame = Run(recipe, Store(tmp_path / "store")), FolderSource(tmp_path / "photos").frames("train")[0]
    return recipe, depth_map(run.visit(frame), *depth.shape), run, frame


@pytest.mark.parametrize("far", [1_963, 121_963, 3e38])
@pytest.mark.parametrize("pixels", [1, 300])
def test_stray_far_pixels_of_files_leave_shape_and_column_as_they_were(tmp_path, far, pixels):
    """One pixel of disparity noise used to take the whole range: nothing was cut, and the column had steps of 4 m."""
    clean, stray = street(), street()
    stray.reshape(-1)[:: stray.size // pixels][:pixels] = far
    recipe, read, run, frame = seen(tmp_path, stray)
    assert read.max() == 60
    elsewhere = stray == clean
    assert np.array_equal(read[elsewhere], clean[elsewhere])
    shape, expected = depth_shape(recipe, read), depth_shape(recipe, clean)
    assert np.array_equal(shape[elsewhere], expected[elsewhere])
    assert encode_depth(read)[1] == encode_depth(clean)[1] <= 60 / 20_480
    assert clipped_depth(run.visit(frame))[1] == (~elsewhere).sum()


def test_depth_without_strays_is_not_clipped(tmp_path):
    _, read, run, frame = seen(tmp_path, street())
    assert np.array_equal(read, street()) and clipped_depth(run.visit(frame))[1] == 0


def test_a_stray_near_pixel_leaves_inverse_depth_its_range(tmp_path):
    stray = street()
    stray[0, 0] = 1e-4
    recipe, read, *_ = seen(tmp_path, stray, "depth.inverse=true")
    shape, expected = depth_shape(recipe, read), depth_shape(recipe, street())
    assert np.array_equal(shape[1:], expected[1:]) and shape[0, 0] == 1


def test_the_recipe_says_what_is_largest(tmp_path):
    stray = street()
    stray[0, :40] = 1_963
    for settings, largest in (
        (["depth.largest=maximum"], 1_963), (["depth.max_depth=30"], 30), (["depth.largest=maximum", "depth.max_depth=80"], 80),
        (["depth.max_depth=1000"], 60),
    ):  # fmt: skip
        recipe, read, *_ = seen(tmp_path, stray, *settings)
        assert read.max() == largest, settings
        assert np.array_equal(read, np.minimum(np.where(stray > 60, largest, stray), largest)), settings


def test_published_depth_keeps_its_maximum_and_depthpro_is_bounded():
    """SPIdepth's normalisation is the reference's; DepthPro says 10 km of a sky."""
    for name in ("demo", "mbps", "mbps-k80", "mbps-k100"):
        assert (get_recipe(name).depth.largest, get_recipe(name).depth.max_depth) == ("auto", None)
    assert get_recipe("mbps-k80-depthpro").depth.max_depth == 80


def test_depth_of_spidepth_is_not_clipped(tmp_path, small_label_set):
    run = small_label_set.calibrated_run(worker_count=1)
    visit = run.visit(small_label_set.frames("train")[0])
    assert clipped_depth(visit)[0] is visit.result(DEPTH)["depth"]
