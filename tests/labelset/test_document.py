"""What the document says about supervision, and that it is never more than is known."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mbps_dataset.labelset.build import build
from mbps_dataset.labelset.document import rendered_only, restricted_weights, supervision
from mbps_dataset.labelset.folder import LabelSetFolder
from mbps_dataset.models.raft import SUPERVISION
from mbps_dataset.named_recipes import RECIPES, get_recipe
from tests.tiny import tiny_label_set, tiny_settings


@pytest.mark.parametrize("name", [n for n, r in RECIPES.items() if r.depth.method == "spidepth"])
def test_named_weights_carry_the_recipes_statement(name):
    assert supervision(get_recipe(name)).keys() >= dict(get_recipe(name).supervision).keys()


def test_published_training_is_not_called_label_free():
    stated = supervision(get_recipe("mbps"))
    assert "ground-truth gradients" in stated["CAUSE head and cluster probe"]
    assert "ImageNet labels" in stated["depth encoder"]


def test_other_weights_speak_for_themselves_or_are_unknown(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    recipe = get_recipe("demo").with_settings([f"semantics.weights={tmp_path}"])
    assert supervision(recipe)["semantic backbone"] == f"unknown: the weights {tmp_path} do not say"
    (tmp_path / "config.json").write_text(json.dumps({"supervision": "photographs of cats"}))
    assert supervision(recipe)["semantic backbone"] == "photographs of cats"


def said_of_rendered(recipe, source: str) -> str:
    return rendered_only({"supervision": supervision(recipe), "source": {"name": source}})


@pytest.mark.parametrize("name", ["demo", "demo-motion"])
def test_networks_that_saw_rendered_scenes_only_are_told_of_on_other_images(name):
    said = said_of_rendered(get_recipe(name), "folder")
    assert said.startswith("The networks of this recipe saw rendered scenes only in training")
    assert said_of_rendered(get_recipe(name), "scenes") == ""


def test_networks_that_saw_other_images_are_not_called_rendered(tmp_path):
    for name in RECIPES.keys() - {"demo", "demo-motion", "open"}:
        assert said_of_rendered(get_recipe(name), "folder") == ""
    (tmp_path / "config.json").write_text(json.dumps({"supervision": "photographs of cats"}))
    recipe = get_recipe("demo").with_settings([f"semantics.weights={tmp_path}"])
    said = said_of_rendered(recipe, "folder")
    assert said.startswith("These networks (depth network, saliency backbone, depth encoder) saw rendered scenes only")
    (tmp_path / "config.json").write_text(json.dumps({"supervision": "real and rendered streets"}))
    assert said_of_rendered(recipe, "folder") == said


def test_any_dinov2_of_the_hub_is_known_with_its_licence_and_only_depth_saw_rendered_scenes():
    for hub_id in ("facebook/dinov2-small", "facebook/dinov2-with-registers-base"):
        recipe = get_recipe("open").with_settings([f"semantics.backbone={hub_id}"])
        stated = supervision(recipe)
        for part in ("semantic backbone", "saliency backbone"):
            assert stated[part].startswith("self-supervised (DINOv2") and stated[part].endswith("weights: Apache-2.0")
        assert stated["clusters"].startswith("none: tokens of the images themselves")
        assert restricted_weights({"supervision": stated}) == ""
        said = said_of_rendered(recipe, "folder")
        assert said.startswith("These networks (depth network, depth encoder) saw") and said.endswith(
            "on photographs depth is rough."
        )
    other = get_recipe("open").with_settings(["semantics.backbone=somebody/else"])
    assert supervision(other)["semantic backbone"] == "unknown: the weights somebody/else do not say"


@pytest.mark.parametrize(("kind", "said"), [("kitti", "LiDAR"), ("cityscapes", "stereo"), ("npy", "unknown")])
def test_depth_files_state_what_made_them(kind, said):
    recipe = get_recipe("demo").with_settings(["depth.method=files", "depth.files=x", f"depth.files_kind={kind}"])
    stated = supervision(recipe)
    assert said in stated["depth"] and "depth network" not in stated


def test_depth_networks_of_transformers_state_their_labels(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "depth_pro"}))
    recipe = get_recipe("demo").with_settings(["depth.method=transformers", f"depth.weights={tmp_path}"])
    assert supervision(recipe)["depth"].startswith("supervised")


def test_what_cuts_and_detections_come_from_is_stated(tmp_path):
    cutting = get_recipe("demo").with_settings(["instances.method=votecut"])
    stated = supervision(cutting)
    assert "rendered street scenes only" in stated["network 1 of the cuts"] and "network 2 of the cuts" in stated
    (tmp_path / "config.json").write_text("{}")
    foreign = supervision(cutting.with_settings(["instances.method=maskcut", f"cuts.weights={tmp_path}"]))
    assert foreign["network 1 of the cuts"] == f"unknown: the weights {tmp_path} do not say"
    importing = get_recipe("demo").with_settings(["instances.method=detections", "detections.files=a/cutler.json"])
    assert supervision(importing)["imported detections"].startswith("unknown: cutler.json")
    assert not {name for name in supervision(get_recipe("demo")) if "cuts" in name or "detections" in name}


def test_clipped_depth_is_counted(tmp_path):
    settings = tiny_settings(tmp_path, 3)
    depth = np.load(tmp_path / "depth/photo_001.npy")
    depth[0, :7] = 1_963
    np.save(tmp_path / "depth/photo_001.npy", depth)
    result = build(
        tiny_label_set(tmp_path, tmp_path / "out/stages", settings), tmp_path / "out", workers=1, progress=False
    )
    document = LabelSetFolder(result.root).document
    assert document["depth_clipped"] == {"images": 1, "pixels": 7}
    assert document["recipe"]["settings"]["depth"]["largest"] == "auto"
    assert max(row.depth.max() for row in LabelSetFolder(result.root).rows("train")) <= 40


def test_motion_states_what_found_flow_and_nothing_that_is_not_at_work(tmp_path):
    demo = get_recipe("demo-motion")
    stated = supervision(demo)
    assert dict(demo.supervision).items() - stated.items() <= {
        *demo.supervision[:2]
    }  # those are stated by the weights
    assert stated["flow and disparity"].startswith("none: OpenCV") and "depth network" not in stated
    (tmp_path / "config.json").write_text(json.dumps({"supervision": "flow of real drives"}))
    raft = supervision(demo.with_settings(["flow.method=raft", f"flow.weights={tmp_path}"]))
    assert raft["flow network"] == "flow of real drives" and "flow and disparity" not in raft
    (tmp_path / "config.json").write_text("{}")
    silent = supervision(demo.with_settings(["flow.method=raft", f"flow.weights={tmp_path}"]))
    assert (
        silent["flow network"] == f"unknown: the weights {tmp_path} do not say"
    )  # though the recipe has no flow network
    given = ["flow.method=files", "flow.disparity=a", "flow.right_disparity=a", "flow.forward=a", "flow.backward=a"]
    assert supervision(demo.with_settings(given))["flow and disparity"] == "unknown: files given by the user"
    without = supervision(demo.with_settings(["things.method=all", "instances.method=watershed"]))
    assert "moving objects" not in without and without["depth"] == "none: geometry of two eyes; see flow and disparity"
    named = supervision(
        demo.with_settings(
            ["things.method=all", "instances.method=watershed", "depth.method=spidepth", "depth.weights=builtin"]
        )
    )
    assert "depth network" in named and not {"depth", "flow and disparity"} & named.keys()


def test_every_file_of_detections_is_named_with_what_is_known_of_it(tmp_path):
    for folder, seen in (("a", "noise"), ("b", "photographs")):
        (tmp_path / folder).mkdir()
        info = json.dumps({"supervision": seen, "ground_truth_used": []})
        (tmp_path / folder / "d.json").write_text(f'{{"info": {info},\n"images": [], "annotations": []}}\n')
    (tmp_path / "foreign.json").write_text("[]")
    files = ",".join(str(tmp_path / name) for name in ("a/d.json", "b/d.json", "foreign.json"))
    said = supervision(get_recipe("demo").with_settings(["instances.method=detections", f"detections.files={files}"]))
    assert said["detections of d.json"] == "noise; and: photographs"
    assert said["imported detections"] == "unknown: foreign.json; what their detector saw is not known here"


@pytest.mark.parametrize(("licence", "restricted"), [
    ("CC BY-NC-SA 4.0: not for commercial use", True),
    ("MIT as published; begun from a DINO ResNet-50 under CC BY-NC-SA 4.0", True),
    ("for research only", True),
    ("Non-commercial", True),
    ("they may not be passed on", True),
    (SUPERVISION["smurf"].partition("licence of the weights: ")[2], True),  # none at all is no permission
    ("Apache-2.0", False),
    ("unknown", False),
])  # fmt: skip
def test_weights_that_may_not_be_used_freely_are_named(licence, restricted):
    said = f"images without labels; licence of the weights: {licence}"
    for document in (
        {"supervision": {"panoptic network": said}},
        {"supervision": {}, "predicted": {"learned_from": {"supervision": {"weights it started from": said}}}},
    ):
        assert (f"({licence})" in restricted_weights(document)) == restricted == bool(restricted_weights(document))
    assert restricted_weights({"supervision": {"x": licence}, "predicted": {"learned_from": None}}) == ""
