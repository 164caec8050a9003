"""Objects of an image: cut from features and kept, or imported; either way they follow their settings and files."""

from __future__ import annotations

import numpy as np
import pytest

from mbps_dataset.errors import InputError
from mbps_dataset.labelling.stage import Run
from mbps_dataset.labelling.stage_cuts import CUT_OBJECTS, detections, objects
from mbps_dataset.named_recipes import get_recipe
from mbps_dataset.sources import ScenesSource
from mbps_dataset.store import Store
from tests.conftest import SMALL_SCENES
from tests.labelling.test_stage_row import labelled_by


def test_cuts_are_kept_in_the_store_and_follow_their_settings(tmp_path, monkeypatch):
    def run(*settings: str) -> Run:
        recipe = get_recipe("demo").with_settings(["instances.method=votecut", "cuts.size=240", *settings])
        return Run(recipe, Store(tmp_path))

    key = run().key(CUT_OBJECTS)
    assert key == run("instances.short_side=256", "instances.fallback=connected-components").key(CUT_OBJECTS)
    for changed in ("instances.method=maskcut", "cuts.masks=2", "cuts.threshold=0.3", "cuts.weights=builtin-saliency"):
        assert run(changed).key(CUT_OBJECTS) != key
    frame = ScenesSource(**SMALL_SCENES).frames("train")[0]
    asked = ("cuts.crf=false", "instances.method=tokencut")
    found = objects(run(*asked).visit(frame), 512, 1024)
    assert found.shape == (512, 1024) and len(found)
    monkeypatch.setattr("mbps_dataset.labelling.stage_cuts.cut", lambda *_: pytest.fail("cut twice"))
    assert np.array_equal(objects(run(*asked).visit(frame), 512, 1024).masks(), found.masks())


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
    before = Run(recipe, small_label_set.store).contents["detections"]
    np.savez(tmp_path / f"{frame.image_id}.npz", masks=masks[:1])
    assert Run(recipe, small_label_set.store).contents["detections"] != before


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
        Run(get_recipe("demo").with_settings([*asked[:1], "detections.files=/nope.json"]), Store("x")).contents  # noqa: B018
    with pytest.raises(InputError, match="matched to the images of a source"):
        detections(Run(get_recipe("demo").with_settings(asked), Store("x")))
