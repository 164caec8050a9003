"""Where weights lie and what identifies them."""

from __future__ import annotations

import shutil

import pytest
import torch

from mbps_dataset.errors import WeightsError
from mbps_dataset.models import networks
from mbps_dataset.named_recipes import get_recipe


@pytest.mark.parametrize("network", ["cause", "spidepth", "attention"])
def test_shipped_weights_load_and_are_small(network):
    loaded = networks.load(network, "builtin", "cpu")
    assert not loaded.training and not any(p.requires_grad for p in loaded.parameters())
    assert all(torch.isfinite(p).all() for p in loaded.parameters())
    files = list((networks.WEIGHTS_ROOT / network).iterdir())
    assert sum(path.stat().st_size for path in files) < 7_000_000
    assert networks.load(network, "builtin", "cpu") is loaded


def test_all_shipped_weights_together_are_under_twelve_megabytes():
    assert sum(p.stat().st_size for p in networks.WEIGHTS_ROOT.rglob("*") if p.is_file()) < 12_000_000


def test_digest_follows_content_not_place(tmp_path):
    shutil.copytree(networks.WEIGHTS_ROOT / "attention", tmp_path / "copy")
    digest = networks.weights_digest("attention", "builtin")
    assert networks.weights_digest("attention", str(tmp_path / "copy")) == digest
    config = tmp_path / "copy/config.json"
    config.write_text(config.read_text() + " ")
    assert networks.weights_digest("attention", str(tmp_path / "copy")) != digest


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        (None, "needs weights for cause: pass --set semantics.weights=.*mbps convert cause"),
        ("/no/such/folder", "neither a folder nor a Hub id"),
        ("nonsense", "neither a folder nor a Hub id"),
        ("org/name", "org/name cannot be downloaded"),
    ],
)
def test_missing_weights_say_what_to_do(reference, message):
    with pytest.raises(WeightsError, match=message):
        networks.weights_folder("cause", reference)


def test_a_recipe_names_only_the_networks_it_runs():
    demo = get_recipe("demo")
    assert set(networks.recipe_networks(demo)) == {"cause", "spidepth", "attention"}
    changed = demo.with_settings(["things.method=all", "depth.method=files", "depth.files=x"])
    assert set(networks.recipe_networks(changed)) == {"cause"}
    changed = demo.with_settings(["depth.method=transformers", "depth.weights=apple/DepthPro-hf"])
    assert networks.recipe_networks(changed)["depth_estimation"] == "apple/DepthPro-hf"


def test_networks_of_cuts_are_named_where_a_recipe_cuts():
    demo = get_recipe("demo")
    changed = demo.with_settings(["instances.method=maskcut"])
    assert networks.recipe_networks(changed)["features_1"] == "builtin-semantics"
    changed = demo.with_settings(["instances.method=votecut"])
    assert networks.recipe_networks(changed)["features_2"] == "builtin-saliency"
    for settings, message in (
        (["cuts.weights="], "needs weights for features: pass --set cuts.weights="),
        (["cuts.weights=builtin"], "builtin is neither a folder nor a Hub id .*nor builtin-semantics or"),
    ):
        wrong = networks.recipe_networks(changed.with_settings(settings))["features_1"]
        with pytest.raises(WeightsError, match=message):
            networks.weights_folder("features_1", wrong)


@pytest.mark.parametrize(("reference", "kind"), [("builtin-semantics", "dinov2"), ("builtin-saliency", "dinov3_vit")])
def test_shipped_networks_of_cuts_load(reference, kind):
    assert networks.load("features_1", reference, "cpu").config.model_type == kind
