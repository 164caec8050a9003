"""Pictures of flow and moving objects, and the reason where there are none."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from mbps_dataset.commands.preview import _next_step
from mbps_dataset.labelling.drawing import VOID_COLOUR
from mbps_dataset.labelling.labelling import Labelling
from mbps_dataset.labelling.stage import Run
from mbps_dataset.labelset.build import build
from mbps_dataset.labelset.folder import LabelSetFolder
from mbps_dataset.named_recipes import get_recipe
from mbps_dataset.report.motion_pictures import TITLES, _captioned, _flow_pictures, draw_flow, motion_pictures
from mbps_dataset.report.originals import open_originals
from mbps_dataset.sources import ScenesSource, StereoFolderSource
from mbps_dataset.store import Store
from tests.labelling.stereo_streets import MOTION_SETTINGS, STREETS, write_street


pytest.importorskip("cv2", reason="OpenCV is not installed (pip install 'mbps-dataset[motion]')")


def test_flow_is_coloured_by_direction_and_white_where_it_stands():
    flow = np.zeros((2, 4, 100), np.float32)
    flow[0, 0], flow[0, 1], flow[1, 2] = 5, -5, 5
    flow[0, 3, 0] = np.nan
    picture = draw_flow(flow)
    assert picture.shape == (4, 100, 3) and picture[3, 5].tolist() == [255, 255, 255]
    assert picture[3, 0].tolist() == list(VOID_COLOUR)
    right, left, down = (picture[row, 9].tolist() for row in range(3))
    assert right[0] == 255 and right[1] == right[2] == 0
    assert left[0] == 0 and min(left[1:]) >= 250
    assert down[1] == 255 and down[2] == 0
    assert (draw_flow(np.full((2, 3, 3), np.nan)) == VOID_COLOUR).all()


def test_a_reason_is_written_over_the_picture():
    blank = np.zeros((60, 200, 3), np.uint8)
    assert (_captioned(blank, "the camera's own motion explains all but 3 reliable pixels") > 200).any()


@pytest.fixture(scope="module")
def moving_set(tmp_path_factory) -> LabelSetFolder:
    output = tmp_path_factory.mktemp("motion") / "set"
    settings = [*MOTION_SETTINGS, "depth.method=spidepth", "depth.weights=builtin", "crf.enabled=false"]
    recipe = get_recipe("demo").with_settings([*settings, "semantics.flip=false"])
    build(Labelling(recipe, ScenesSource(**STREETS), Store(output / "stages")), output, workers=1, progress=False)
    return LabelSetFolder(output)


def test_pictures_come_from_the_store_and_are_left_out_when_it_has_gone(moving_set, tmp_path):
    originals = open_originals(moving_set, "train")
    nothing, car = (motion_pictures(moving_set, originals, f"scene_200000{k}") for k in (0, 1))
    assert nothing.keys() == car.keys() == TITLES.keys()
    assert all(picture.shape == (192, 384, 3) for picture in car.values())
    darkened = (originals.frames["scene_2000000"].image() * 0.35).astype(np.uint8)
    changed = (nothing["moving objects"] != darkened).any(axis=-1)
    assert changed.any() and changed.mean() < 0.2  # the reason, and nothing else
    assert motion_pictures(moving_set, originals, "no such image") == {}
    copy = tmp_path / "copy"
    shutil.copytree(moving_set.root, copy, ignore=shutil.ignore_patterns("stages"))
    assert motion_pictures(LabelSetFolder(copy), originals, "scene_2000001") == {}
    assert "--source stereo --data-dir STEREO_VIDEO" in _next_step(moving_set.document, moving_set.root)
    predicted = {
        "recipe": {"name": "p", "settings": {"network": {"weights": "w"}}},
        "source": {"name": "scenes"},
        "predicted": {},
    }
    assert "predict --weights w --data-dir PHOTOS" in _next_step(predicted, moving_set.root)


def test_the_end_of_a_sequence_has_unknown_flow_and_not_white(tmp_path):
    source = StereoFolderSource(write_street(tmp_path / "street"))
    run = Run(get_recipe("demo").with_settings(list(MOTION_SETTINGS)), Store(tmp_path / "store"))
    pictures = _flow_pictures(run.visit(source.frames("train")[2]))
    assert list(pictures) == ["flow"] and pictures["flow"].shape == (192, 384, 3)
    assert (pictures["flow"] == VOID_COLOUR).all()


def test_sets_without_motion_have_no_such_pictures(built):
    originals = open_originals(built, "train")
    assert motion_pictures(built, originals, next(iter(originals.frames))) == {}
