"""Settings that cannot work are refused before anything is labelled, and the line names what would."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from mbps_dataset import cli
from mbps_dataset.errors import RecipeError, WeightsError
from mbps_dataset.labelling.fit import require_fit
from mbps_dataset.models.cause.centroids import Centroids
from mbps_dataset.models.networks import WEIGHTS_ROOT
from mbps_dataset.named_recipes import get_recipe
from tests.models.depthg.depthg_weights import tiny_network as tiny_depthg


def fit(*settings: str) -> None:
    require_fit(get_recipe("demo").with_settings(settings))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["depth.height=33"], "depth.height=33 is no multiple of 32, as the weights builtin need; they were trained at "
                              "256x512: --set depth.height=256 --set depth.width=512."),
        (["depth.width=500"], "depth.width=500 is no multiple of 32, as the weights builtin need"),
        (["depth.height=64"], "depth.height=64 and depth.width=512 give 8 patches of 64 pixels, but the weights builtin "
                              "need 24 to 64; they were trained at 256x512"),
        (["depth.width=4096"], "depth.height=256 and depth.width=4096 give 256 patches"),
        (["semantics.crop=330"], "semantics.crop is 330, but the weights builtin were made for windows of 322 pixels; "
                                 "pass --set semantics.crop=322"),
        (["semantics.crop=336"], "semantics.crop is 336, but the weights builtin"),
        (["semantics.short_side=174"], "semantics.short_side=174 is too small for windows of 322 pixels, which reflection "
                                       "at the edge must fill; pass --set semantics.short_side=168 or more"),
        (["clusters.count=30"], "clusters.count is 30, but the probe of the weights builtin has 27 clusters; pass --set "
                                "clusters.count=27"),
        (["things.method=fixed", "things.ids=27"], "things.ids names the class 27, but the classes are 0 to 26."),
        (["things.method=cityscapes"], "things.method 'cityscapes' needs named classes"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named_with_what_does(settings: list[str], message: str) -> None:
    if "short_side=174" in settings[0]:
        fit(*settings)  # 168 after rounding to patches, and twice that is more than a window
        settings = ["semantics.short_side=167"]
        message = message.replace("174", "167")
    with pytest.raises(RecipeError, match=re.escape(message)) as said:
        fit(*settings)
    assert "\n" not in str(said.value)


@pytest.mark.parametrize(
    "settings",
    [
        (),
        ("depth.height=192", "depth.width=512"),
        ("depth.height=256", "depth.width=1024"),
        ("semantics.short_side=168",),
        ("semantics.short_side=64", "semantics.scales=0.75,1.5"),
        ("clusters.method=kmeans", "clusters.count=40"),
        ("things.method=fixed", "things.ids=26"),
        ("depth.method=files", "depth.files=x", "depth.height=33"),
    ],
)
def test_what_fits_is_left_alone(settings: tuple[str, ...]) -> None:
    fit(*settings)


def test_what_is_said_to_fit_runs() -> None:
    """The bound is the network's own: one patch row less raises in it, what is let through does not."""
    import torch

    from mbps_dataset.models.networks import load

    network = load("spidepth", "builtin", "cpu")
    with torch.inference_mode():
        assert network(torch.zeros(1, 3, 192, 512)).shape == (1, 1, 96, 256)
        with pytest.raises(ValueError, match="24 to 64 patches"):
            network(torch.zeros(1, 3, 160, 512))
    with pytest.raises(RecipeError, match="give 16 patches"):
        fit("depth.height=160")


def test_centroids_and_names_are_those_of_the_clusters(tmp_path: Path) -> None:
    rows = np.eye(90)[:40]
    path = Centroids(rows).save(tmp_path / "c.npz")
    asked = ("clusters.method=centroids", f"clusters.centroids={path}", "clusters.count=40")
    fit(*asked)
    with pytest.raises(
        RecipeError, match="clusters.count is 27, but .*c.npz holds 40 centroids; pass --set clusters.count=40"
    ):
        fit(*asked[:2])
    Centroids(rows[:, :60]).save(path)
    with pytest.raises(
        RecipeError, match="has centroids of 60 channels, but the codes of the weights builtin have 90"
    ):
        fit(*asked)
    np.savez(path, centroids=(rows * 9).astype(np.int64))
    with pytest.raises(WeightsError, match="centroids must be floating-point numbers, but are int64"):
        fit(*asked)
    names = tmp_path / "names.json"
    names.write_text(json.dumps({"cluster_to_class": [0, 255] * 10}))
    with pytest.raises(RecipeError, match="names.json names 20 clusters, but clusters.count is 27"):
        fit("naming.method=file", f"naming.file={names}")
    names.write_text(json.dumps({"cluster_to_class": [18, 255, 0] * 9}))
    fit("naming.method=file", f"naming.file={names}")


def test_sides_of_a_transformers_network_are_those_of_its_processor(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "depth_anything"}')
    asked = ("depth.method=transformers", f"depth.weights={tmp_path}", "depth.width=518", "depth.height=518")
    fit(*asked)
    (tmp_path / "preprocessor_config.json").write_text('{"ensure_multiple_of": 14}')
    fit(*asked)
    with pytest.raises(RecipeError, match="depth.height=520 is no multiple of 14, .*--set depth.height=532 or 518"):
        fit(*asked[:3], "depth.height=520")
    (tmp_path / "preprocessor_config.json").write_text("[14]")
    with pytest.raises(WeightsError, match=r"preprocessor_config.json: holds \[14\], where an object is expected"):
        fit(*asked)


@pytest.fixture(scope="module")
def depthg(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("depthg")
    tiny_depthg().save_pretrained(folder)
    return f"semantics.weights={folder}"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["semantics.crop=322", "semantics.stride=161"], "semantics.crop is 322 and semantics.stride 161, but windows of "
         "DepthG must be a multiple of the stride and of the patches of 8 pixels; pass --set semantics.crop=320 --set "
         "semantics.stride=160."),
        (["semantics.stride=100"], "semantics.crop is 320 and semantics.stride 100, but"),
        (["semantics.short_side=319"], "semantics.short_side=319 is too small for windows of 320 pixels; pass --set "
         "semantics.short_side=320 or more."),
        (["semantics.short_side=64", "semantics.crop=64", "semantics.stride=32", "semantics.low_scale=0.1"],
         "semantics.low_scale=0.1 leaves 6 pixels, less than a patch of 8; pass --set semantics.low_scale=0.125 or more."),
        (["clusters.count=30"], "clusters.count is 30, but the probe of the weights"),
    ],
)  # fmt: skip
def test_windows_of_depthg_cover_the_image_with_whole_patches(settings: list[str], message: str, depthg: str) -> None:
    cups = get_recipe("cups").with_settings([depthg, "flow.method=opencv"])
    require_fit(cups)
    with pytest.raises(RecipeError, match=re.escape(message)):
        require_fit(cups.with_settings(settings))


def test_relative_depth_weighs_no_windows(tmp_path: Path) -> None:
    asked = ("semantics.windows=depth", "depth.method=transformers", f"depth.weights={tmp_path}")
    (tmp_path / "config.json").write_text('{"model_type": "depth_pro"}')
    fit(*asked)
    (tmp_path / "config.json").write_text('{"model_type": "depth_anything"}')
    with pytest.raises(
        RecipeError, match="which needs depth in metres, but that of .* has no scale; pass --set depth"
    ):
        fit(*asked)


@pytest.mark.parametrize("content", ["[1]", "{", '{"crop": "322"}', '{"crop": -1}'])
def test_a_damaged_config_ends_a_build_before_it_begins(content: str, tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(WEIGHTS_ROOT / "cause", "net")
    Path("net/config.json").write_text(content)
    asked = ["build", "--source", "scenes", "--limit", "1", "--set", "semantics.weights=net", "--output", "out"]
    assert cli.main(asked) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "config.json" in said and not Path("out").exists()


def test_tokens_of_a_backbone_are_refused_where_they_cannot_be(tmp_path: Path) -> None:
    tokens = ("semantics.codes=tokens", "semantics.backbone=builtin", "clusters.method=kmeans")
    with pytest.raises(
        RecipeError, match=r"semantics.directions is 4000, .* have 192 channels; pass --set semantics.dir"
    ):
        fit(*tokens, "semantics.directions=4000")
    with pytest.raises(RecipeError, match=r"semantics.crop is 320, .*pass --set semantics.crop=308"):
        fit(*tokens, "semantics.crop=320")
    with pytest.raises(RecipeError, match="have none; pass --set clusters.method=kmeans"):
        fit(*tokens[:2])
    with pytest.raises(RecipeError, match="pass --set semantics.method=cause"):
        fit(*tokens, "semantics.method=depthg")
    Centroids(np.eye(4)).save(tmp_path / "of_codes.npz")
    with pytest.raises(
        RecipeError, match="holds clusters of semantics.codes 'head', but those of the recipe are 'tokens'"
    ):
        fit(
            *tokens, "clusters.method=centroids", f"clusters.centroids={tmp_path / 'of_codes.npz'}", "clusters.count=4"
        )
    (tmp_path / "labelset.json").write_text(
        json.dumps(
            {"calibration": {"centroids": np.eye(4).tolist(), "token_mean": [0.0] * 7}, "digests": {"weights": {}}}
        )
    )
    with pytest.raises(RecipeError, match="clusters of tokens of 7 channels, but those of builtin have 192"):
        fit(*tokens, "clusters.method=centroids", f"clusters.centroids={tmp_path}", "clusters.count=4")
    (tmp_path / "config.json").write_text(json.dumps({"hidden_size": 192, "patch_size": 16}))
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(RecipeError, match="has patches of 16 pixels, but codes that are tokens have 14"):
        fit(*tokens, f"semantics.backbone={tmp_path}")
