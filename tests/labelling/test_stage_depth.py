"""Depth of an image, from files here; networks are covered by whole rows."""

from __future__ import annotations

import numpy as np

from mbps_dataset.labelling.stage import Run
from mbps_dataset.labelling.stage_depth import DEPTH, depth_map
from mbps_dataset.named_recipes import get_recipe
from mbps_dataset.sources import FolderSource, ScenesSource
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
