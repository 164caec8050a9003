"""From settings to instances: what runs, with the published numbers where nothing else is asked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import Dinov2Config, Dinov2Model

from mbps_dataset.cli import main
from mbps_dataset.labelling import instance_methods
from mbps_dataset.labelset.folder import LabelSetFolder
from mbps_dataset.named_recipes import get_recipe
from mbps_dataset.sources import ScenesSource
from mbps_dataset.stage_settings import CUT_METHODS, CutsSettings, DetectionsSettings, InstancesSettings
from mbps_dataset.stages import instances
from mbps_dataset.stages.instances import Instances


SEMANTIC = np.zeros((40, 60), np.uint8)
SEMANTIC[5:25, 5:45] = 13
SEMANTIC[30:38, 10:20] = 11
SHAPE = np.zeros((40, 60), np.float32)
SHAPE[:, 25:] = 1.0
THINGS = (11, 13)
PLAIN = InstancesSettings(min_area=10)
CUTS = CutsSettings(size=112, crf=False)


def network() -> Dinov2Model:
    torch.manual_seed(0)
    return Dinov2Model(
        Dinov2Config(hidden_size=32, num_hidden_layers=1, num_attention_heads=4, image_size=28, patch_size=14)
    ).eval()


def picture() -> np.ndarray:
    image = np.random.default_rng(0).integers(0, 30, (64, 128, 3)).astype(np.uint8)
    image[20:50, 40:80] += 200
    return image


def find(settings: InstancesSettings, objects: Instances | None = None, **detections: float) -> Instances:
    imported = DetectionsSettings(files=("not read here.json",), **detections)
    recipe = replace(get_recipe("demo"), instances=settings, detections=imported)
    return instance_methods.find(instance_methods.Evidence(recipe, SEMANTIC, SHAPE, THINGS, objects))


def objects() -> Instances:
    masks = np.zeros((3, 40, 60), dtype=bool)
    masks[0, 5:25, 5:25] = masks[1, 5:25, 6:25] = masks[2, 0:5, 50:60] = True
    return Instances(masks, scores=[0.5, 0.9, 0.8])


@pytest.mark.parametrize(
    ("method", "areas"),
    [("depth-gradient", [400, 400, 80]), ("watershed", [400, 400, 80]), ("connected-components", [800, 80])],
)
def test_methods_of_regions(method, areas):
    found = find(replace(PLAIN, method=method))
    assert sorted(found.areas.tolist(), reverse=True) == pytest.approx(areas, abs=45)
    assert len(found) == len(areas)


def test_objects_get_the_class_below_them_and_stuff_goes():
    for method, areas, scores in (
        ("maskcut", [400, 380], [1.0, 0.95]),  # by area, score area / largest
        ("votecut", [400, 380], [0.5, 0.9]),  # as given
        ("detections", [380, 400], [0.9, 0.5]),  # by score
    ):
        found = find(replace(PLAIN, method=method), objects())
        assert found.areas.tolist() == areas and found.scores.tolist() == pytest.approx(scores)
        assert found.class_ids.tolist() == [13, 13]
    found = find(replace(PLAIN, method="detections"), objects(), max_iou=0.5)
    assert found.scores.tolist() == [0.9]
    with pytest.raises(ValueError, match="The instance method maskcut needs objects, but got none"):
        find(replace(PLAIN, method="maskcut"))


def test_moving_objects_are_whole_unless_they_are_not_aligned():
    mask = np.zeros((1, 40, 60), dtype=bool)
    mask[0, 10:35, 8:20] = True  # most of a car, all above the road below it, a part of a person
    plain = replace(get_recipe("demo"), instances=replace(PLAIN, method="motion"))
    vanilla = plain.with_settings(["fusion.align_objects=false"])
    whole, parts = (
        instance_methods.find(instance_methods.Evidence(recipe, SEMANTIC, SHAPE, THINGS, Instances(mask)))
        for recipe in (plain, vanilla)
    )
    assert (whole.class_ids.tolist(), whole.areas.tolist()) == ([13], [300])
    assert (parts.class_ids.tolist(), parts.areas.tolist()) == ([11, 13], [50, 180])


def test_the_fallback_comes_behind_and_is_not_merged():
    settings = replace(PLAIN, method="detections", fallback="connected-components", fallback_min_area=50)
    found = find(replace(settings, merge=True, max_depth_gap=2.0), objects().select([0]))
    assert found.scores.tolist() == [0.5, 0.1, 0.1] and sorted(found.areas.tolist()) == [80, 400, 400]
    assert len(find(replace(settings, fallback_min_area=100), objects().select([0]))) == 2


def test_cuts_use_the_published_numbers_unless_told_otherwise(monkeypatch):
    asked = []
    monkeypatch.setattr(instances, "cut_objects", lambda *_, **options: asked.append(options))
    monkeypatch.setattr(instances, "agreed_objects", lambda *_, **options: asked.append(options))
    for method in ("maskcut", "tokencut", "votecut"):
        instance_methods.cut(method, CUTS, picture(), [network()], "cpu")
        instance_methods.cut(method, replace(CUTS, threshold=0.3, masks=2), picture(), [network()], "cpu")
    assert [options["threshold"] for options in asked] == [0.15, 0.3, 0.2, 0.3, 0.15, 0.3]
    assert [options.get("masks", options.get("max_masks")) for options in asked] == [3, 2, 1, 1, 10, 2]
    assert all(options["image"] is None for options in asked)


def test_pictures_are_squeezed_unless_the_aspect_is_kept():
    squeezed = instance_methods.cut("tokencut", CUTS, picture(), [network()], "cpu")
    wide = instance_methods.cut("tokencut", replace(CUTS, keep_aspect=True), picture(), [network()], "cpu")
    assert (squeezed.shape, wide.shape) == ((112, 112), (112, 224))
    assert len(squeezed) == 1 and instance_methods.cut("votecut", CUTS, picture(), [network()] * 2, "cpu") is not None


@pytest.mark.parametrize("method", ["tokencut", "detections"])
def test_a_label_set_is_built_with_objects(method, tmp_path, capsys):
    (frame,) = ScenesSource(train=1, validation=0, height=64, width=128).frames("train")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/a.png").write_bytes(frame.image_bytes())
    (tmp_path / "masks").mkdir()
    np.savez(tmp_path / "masks/a.npz", masks=np.ones((1, 64, 128), bool), scores=[0.7])
    settings = [f"instances.method={method}", f"detections.files={tmp_path / 'masks'}", "cuts.size=112",
                "things.method=all", "fusion.order=overwrite", "crf.enabled=false"]  # fmt: skip
    arguments = [part for setting in settings for part in ("--set", setting)]
    output = tmp_path / "set"
    assert main(["build", "--source", "folder", "--data-dir", str(tmp_path / "photos"), "--workers", "1",
                 "--output", str(output), *arguments]) == 0  # fmt: skip
    (row,) = LabelSetFolder(output).rows("train")
    assert len(row.segments) == 1 and row.segments[0]["isthing"]
    if method == "detections":
        assert row.segments[0]["score"] == pytest.approx(0.7) and (row.panoptic == 1).all()


def test_every_method_of_the_recipe_is_known_and_no_other():
    choices = InstancesSettings.__dataclass_fields__["method"].metadata["choices"]
    assert set(instance_methods.METHODS) == set(choices) and set(instance_methods.CUTS) == set(CUT_METHODS)
    for method in choices:
        given = objects() if instance_methods.needs_objects(method) else None
        assert isinstance(find(replace(PLAIN, method=method), given), Instances)
