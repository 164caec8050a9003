"""Where weights lie and what identifies them."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from mbps_dataset.errors import WeightsError
from mbps_dataset.models import networks
from mbps_dataset.named_recipes import get_recipe
from tests.models.depthg.depthg_weights import TINY, tiny_network


@pytest.mark.parametrize("network", ["cause", "spidepth", "attention"])
def test_shipped_weights_load_and_are_small(network):
    loaded = networks.load(network, "builtin", "cpu")
    assert not loaded.training and not any(p.requires_grad for p in loaded.parameters())
    assert all(torch.isfinite(p).all() for p in loaded.parameters())
    files = list((networks.WEIGHTS_ROOT / network).iterdir())
    assert sum(path.stat().st_size for path in files) < 7_000_000
    assert networks.load(network, "builtin", "cpu") is loaded


def test_all_shipped_weights_together_are_under_sixteen_megabytes():
    assert sum(p.stat().st_size for p in networks.WEIGHTS_ROOT.rglob("*") if p.is_file()) < 16_000_000


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
        (
            None,
            "semantics.weights is not set: pass --set semantics.weights=.*mbps convert cause.*Or train one on your",
        ),
        ("/no/such/folder", "neither a folder nor a Hub id"),
        ("nonsense", "neither a folder nor a Hub id"),
        ("org/name", "semantics.weights: org/name is no folder here, and as a Hub id it has not been downloaded"),
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


def test_all_networks_that_are_missing_are_told_together(tmp_path):
    with pytest.raises(WeightsError) as said:
        networks.require_networks(get_recipe("mbps").with_settings([f"depth.weights={tmp_path}"]))
    first, *lines, last = str(said.value).split("\n")
    assert first == "3 networks of the recipe mbps are missing:" and last.startswith('"The networks" in docs/')
    assert [line.split()[0] for line in lines] == ["semantics.weights", "depth.weights:", "saliency.weights"]
    assert f"depth.weights: {tmp_path} holds no .safetensors file; convert the published SPIdepth" in lines[1]
    networks.require_networks(get_recipe("demo"))


def test_classes_of_depthg_take_its_network_and_no_other():
    cups = get_recipe("cups")
    assert networks.recipe_networks(cups) == {"depthg": None, "raft": None}
    with pytest.raises(WeightsError) as said:
        networks.require_networks(cups)
    first, *lines, _ = str(said.value).split("\n")
    assert first == "2 networks of the recipe cups are missing:"
    for line, setting, command in zip(lines, ("semantics.weights", "flow.weights"), ("depthg", "smurf")):
        assert f"{setting} is not set" in line and f"`mbps convert {command}`" in line


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (
            "depthg",
            "semantics.weights: builtin has no network of this kind; convert a DepthG or STEGO checkpoint once with",
        ),
        (
            "raft",
            "flow.weights: builtin has no network of this kind; convert the published SMURF checkpoint once with",
        ),
    ],
)
def test_what_is_not_shipped_is_told(network, message):
    with pytest.raises(WeightsError, match=message):
        networks.weights_folder(network, "builtin")


def test_a_network_of_depthg_loads(tmp_path):
    tiny_network().save_pretrained(tmp_path)
    loaded = networks.load("depthg", str(tmp_path), "cpu")
    assert loaded.config == TINY and not loaded.training


def test_networks_of_cuts_are_named_where_a_recipe_cuts():
    demo = get_recipe("demo")
    changed = demo.with_settings(["instances.method=maskcut"])
    assert networks.recipe_networks(changed)["features_1"] == "builtin-semantics"
    changed = demo.with_settings(["instances.method=votecut"])
    assert networks.recipe_networks(changed)["features_2"] == "builtin-saliency"
    for settings, message in (
        (
            ["cuts.weights="],
            "cuts.weights is not set: pass --set cuts.weights=.*Or --set cuts.weights=builtin-semantics takes",
        ),
        (["cuts.weights=builtin"], "builtin is neither a folder nor a Hub id .*nor builtin-semantics or"),
    ):
        wrong = networks.recipe_networks(changed.with_settings(settings))["features_1"]
        with pytest.raises(WeightsError, match=message):
            networks.weights_folder("features_1", wrong)


@pytest.mark.parametrize(("reference", "kind"), [("builtin-semantics", "dinov2"), ("builtin-saliency", "dinov3_vit")])
def test_shipped_networks_of_cuts_load(reference, kind):
    assert networks.load("features_1", reference, "cpu").config.model_type == kind


SPOILED = {
    "NaN": lambda tensor: torch.full_like(tensor, float("nan")),
    "infinity": lambda tensor: torch.full_like(tensor, float("inf")),
    "whole numbers": lambda tensor: (tensor * 1000).to(torch.int64),
}


@pytest.mark.parametrize("kind", SPOILED)
@pytest.mark.parametrize("network", ["cause", "spidepth", "attention", "features_1"])
def test_weights_that_are_no_finite_floats_are_refused_by_every_network(network, kind, tmp_path):
    shipped = networks.WEIGHTS_ROOT / ("cause" if network == "features_1" else network)
    shutil.copytree(shipped, tmp_path / "net")
    state = load_file(shipped / "model.safetensors")
    name = max(state, key=lambda each: state[each].numel())
    save_file(
        state | {name: SPOILED[kind](state[name])}, tmp_path / "net/model.safetensors", metadata={"format": "pt"}
    )
    words = (
        "holds (int64|I64), where floating-point numbers are expected"
        if kind == "whole numbers"
        else "NaN or infinite"
    )
    with pytest.raises(WeightsError, match=f"{tmp_path}/net.*the tensor .*{words}") as said:
        networks.load(network, str(tmp_path / "net"), "cpu")
    assert "\n" not in str(said.value) and name.split(".")[-1] in str(said.value)


CONFIGS = {
    "a list": ("[1]", r"net/config.json: holds \[1\], where an object is expected; download the network again"),
    "null": ("null", "net/config.json: holds None, where an object is expected"),
    "a text": ('"x"', "net/config.json: holds 'x', where an object"),
    "torn": ('{"a":', r"net/config.json: damaged \(not JSON at line 1 column 6: "),
    "empty": ("", r"net/config.json: damaged \(empty\); download the network again"),
    "deep": ("[" * 10_000, "net/config.json: damaged .nested more than 32 deep"),
}


@pytest.mark.parametrize("kind", CONFIGS)
@pytest.mark.parametrize("network", ["cause", "spidepth", "attention", "features_1", "depth_estimation"])
def test_a_config_that_is_no_object_is_one_line(network, kind, tmp_path):
    content, message = CONFIGS[kind]
    shutil.copytree(networks.WEIGHTS_ROOT / "attention", tmp_path / "net")
    (tmp_path / "net/config.json").write_text(content)
    with pytest.raises(WeightsError, match=message) as said:
        networks.load(network, str(tmp_path / "net"), "cpu")
    assert "\n" not in str(said.value)


@pytest.mark.parametrize(
    ("network", "changed", "message"),
    [
        ("cause", {"heads": 0}, "heads must be a whole number of at least 1, but is 0"),
        ("cause", {"hidden_size": "192"}, "hidden_size must be a whole number of at least 1, but is '192'"),
        ("cause", {"hidden_size": 3 * 10**6}, "hidden_size must be at most 65536, but is 3000000"),
        ("cause", {"layers": 10**4}, "layers must be at most 256, but is 10000"),
        ("cause", {"supervision": 5}, "supervision must be of type str, but is 5"),
        ("cause", {"hidden_size": 64512}, "does not fit CauseSegmenter as its config.json describes it"),
        ("spidepth", {"heads": 0}, "heads must be between 1 and 16777216, but is 0"),
        ("spidepth", {"patch_size": -1}, "patch_size must be between 1 and 16777216, but is -1"),
        ("spidepth", {"patch_size": "32"}, "patch_size must be of type int, but is '32'"),
        ("spidepth", {"encoder_channels": 5}, "encoder_channels must be of type tuple"),
        ("spidepth", {"encoder_depths": [2, 2, 2, 10**9]}, "encoder_depths must be between 1 and 256"),
        ("spidepth", {"queries": 10**7}, "does not fit SPIdepth as its config.json describes it"),
        ("attention", {"hidden_size": "x"}, "Field 'hidden_size' expected int, got str"),
        ("attention", {"hidden_size": 9_600_000}, "cannot be loaded as a DINOv3 ViT"),
    ],
)
def test_sizes_that_cannot_be_take_no_memory(network, changed, message, tmp_path):
    shutil.copytree(networks.WEIGHTS_ROOT / network, tmp_path / "net")
    config = json.loads((tmp_path / "net/config.json").read_text())
    (tmp_path / "net/config.json").write_text(json.dumps(config | changed))
    with pytest.raises(WeightsError, match=message):
        networks.load(network, str(tmp_path / "net"), "cpu")


@pytest.mark.parametrize("reference", ["~nobody-of-that-name/weights", "x" * 5000, "a/" + "x" * 5000])
def test_a_reference_that_is_no_path_is_one_line(reference):
    with pytest.raises(WeightsError, match="semantics.weights: ") as said:
        networks.weights_folder("cause", reference)
    assert "\n" not in str(said.value)
