"""What is true of a rendered scene never reaches a label set from motion: only scoring, and names where asked for, read it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mbps_dataset import scenes
from mbps_dataset.labelling.labelling import Labelling
from mbps_dataset.labelset.build import build
from mbps_dataset.labelset.document_file import intact_document
from mbps_dataset.named_recipes import get_recipe
from mbps_dataset.sources import ScenesSource, Truth
from mbps_dataset.sources.rendered import SceneFrame
from mbps_dataset.store import Store
from tests.labelling.stereo_streets import STREETS, tiny_motion_settings


pytest.importorskip("cv2", reason="OpenCV is not installed (pip install 'mbps-dataset[motion]')")

TRUE_OF_A_SCENE = ("truth", "moving_ids")
"""Methods of `scenes.Scene` that say what is true; `scenes.stereo_video_truth` says flow and disparity."""


def shuffled(truth: Truth) -> Truth:
    """Classes, objects, depth and what moves, all of other pixels."""
    order = np.random.default_rng(0).permutation(truth.label_ids.size)
    maps = {name: getattr(truth, name) for name in ("label_ids", "instance_ids", "depth_m")}
    moved = {name: values.ravel()[order].reshape(values.shape) for name, values in maps.items()}
    return replace(truth, **moved, moving_ids=frozenset({26_999}))


def rows_of(output: Path, inputs: Path, *settings: str, store: Path | None = None) -> dict:
    """Digests of the Parquet files of a set that is built from nothing, or from what `store` holds."""
    recipe = get_recipe("demo-motion").with_settings([*tiny_motion_settings(inputs / "weights"), *settings])
    label_set = Labelling(recipe, ScenesSource(**STREETS), Store(store or output / "stages"))
    build(label_set, output, workers=1, progress=False)
    document = intact_document(output / "labelset.json")
    assert document["motion"]["train"]["objects"] and document["counts"]["train"]["rows"] == 2
    return document["files"]


def test_labels_from_motion_are_the_same_without_truth_and_with_a_wrong_one(inputs, settings, tmp_path, monkeypatch):
    true = SceneFrame.truth
    wanted = rows_of(tmp_path / "as_it_is", inputs)
    monkeypatch.setattr(SceneFrame, "truth", lambda frame: shuffled(true(frame)))
    assert rows_of(tmp_path / "shuffled", inputs) == wanted
    named = rows_of(tmp_path / "named_wrongly", inputs, "naming.method=majority", store=tmp_path / "as_it_is/stages")

    monkeypatch.setattr(SceneFrame, "truth", true)
    assert named != rows_of(
        tmp_path / "named", inputs, "naming.method=majority", store=tmp_path / "as_it_is/stages"
    )  # so a wrong truth does change labels where truth is read

    monkeypatch.setattr(SceneFrame, "has_truth", False)
    monkeypatch.setattr(SceneFrame, "truth", lambda frame: None)
    for name in TRUE_OF_A_SCENE:
        monkeypatch.setattr(scenes.Scene, name, lambda *_: pytest.fail("the truth of a scene was read"))
    monkeypatch.setattr(scenes, "stereo_video_truth", lambda *_: pytest.fail("true flow was read"))
    assert rows_of(tmp_path / "without", inputs) == wanted
