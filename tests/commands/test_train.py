"""`mbps train` turns images into weights that a recipe can use."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mbps_dataset.cli import main
from mbps_dataset.models.networks import load
from mbps_dataset.sources import SOURCES
from mbps_dataset.sources.rendered import SceneFrame


def test_train_spidepth_writes_weights_that_say_what_they_saw(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(SceneFrame, "truth", lambda _: pytest.fail("ground truth was read"))
    monkeypatch.setattr(
        "mbps_dataset.sources.rendered.ScenesSource.__init__.__defaults__", (2, 0, 64, 128, 2_000_000), raising=False
    )
    arguments = ["train", "spidepth", "--steps", "1", "--batch-size", "1", "--output", str(tmp_path)]
    assert main(arguments) == 0
    stated = json.loads((tmp_path / "config.json").read_text())["supervision"]
    assert stated.startswith("photometric consistency of") and "no depth maps" in stated
    assert load("spidepth", str(tmp_path), "cpu").config.supervision == stated
    assert "--set depth.weights=" in capsys.readouterr().out


def test_train_cause_keeps_the_backbone_and_trains_the_rest(tmp_path, monkeypatch):
    from mbps_dataset.training.cause import CauseTrainingSettings

    short = CauseTrainingSettings(
        codebook_steps=1, contrastive_steps=1, probe_steps=1, windows_per_step=2, kmeans_start=False
    )
    monkeypatch.setattr("mbps_dataset.training.cause.CauseTrainingSettings", lambda seed: short)
    arguments = ["train", "cause", "--output", str(tmp_path / "w"), "--device", "cpu"]
    assert main(arguments) == 0
    before, after = load("cause", "builtin", "cpu"), load("cause", str(tmp_path / "w"), "cpu")
    for name, tensor in before.backbone.state_dict().items():
        assert np.array_equal(tensor.numpy(), after.backbone.state_dict()[name].numpy())
    assert not np.array_equal(before.probe.state_dict()["cluster_probe"], after.probe.state_dict()["cluster_probe"])
    assert "no labels" in after.config.supervision


@pytest.mark.parametrize("source", list(SOURCES))
def test_every_source_can_be_learned_from(source, tmp_path, monkeypatch):
    class Opened(Exception):
        pass

    def opened(name, **_):
        raise Opened(name)

    monkeypatch.setattr("mbps_dataset.sources.open_source", opened)
    with pytest.raises(Opened, match=source):
        main(["train", "spidepth", "--source", source, "--output", str(tmp_path / "w")])


def test_fresh_weights_are_for_spidepth(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["train", "cause", "--fresh", "--output", str(tmp_path / "w")])
    assert "unrecognized arguments: --fresh" in capsys.readouterr().err and not (tmp_path / "w").exists()


def test_a_backbone_of_transformers_is_whitened_and_labels_images(tmp_path, monkeypatch, capsys):
    import torch
    from transformers import Dinov2Config, Dinov2Model

    from mbps_dataset.training.token_whitening import WhiteningSettings

    torch.manual_seed(0)
    sizes = {"hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 1, "mlp_ratio": 1, "image_size": 322}
    Dinov2Model(Dinov2Config(**sizes)).save_pretrained(tmp_path / "dino")
    few = WhiteningSettings(windows=2, windows_per_step=2)
    monkeypatch.setattr("mbps_dataset.training.token_whitening.WhiteningSettings", lambda seed: few)
    monkeypatch.setattr(SceneFrame, "truth", lambda _: pytest.fail("ground truth was read"))
    start = ["train", "cause", "--start", str(tmp_path / "dino"), "--device", "cpu"]
    assert main([*start, "--output", str(tmp_path / "w")]) == 0
    assert "64 of 64 directions hold 100% of the tokens' variance" in capsys.readouterr().out
    stated = load("cause", str(tmp_path / "w"), "cpu").config.supervision
    assert "by whitening, no labels" in stated and stated.endswith("(unknown: its files do not say)")
    assert main([*start, "--output", str(tmp_path / "x"), "--steps", "5"]) == 1
    assert "whitening is solved in closed form" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["train", "spidepth", "--method", "whitening", "--output", str(tmp_path / "y")])
    assert "unrecognized arguments: --method" in capsys.readouterr().err


def test_train_stego_keeps_the_backbone_and_labels_images_with_what_it_learned(tmp_path, monkeypatch, capsys):
    import torch
    from transformers import ViTConfig, ViTModel

    from mbps_dataset.training.stego import StegoTrainingSettings

    torch.manual_seed(0)
    sizes = {"hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 64}
    ViTModel(ViTConfig(**sizes, image_size=64, patch_size=16), add_pooling_layer=False).save_pretrained(
        tmp_path / "dino"
    )
    few = StegoTrainingSettings(steps=1, windows_per_step=2, window_px=64, positions=3)
    monkeypatch.setattr("mbps_dataset.training.stego.StegoTrainingSettings", lambda **_: few)
    monkeypatch.setattr(SceneFrame, "truth", lambda _: pytest.fail("ground truth was read"))
    monkeypatch.setattr(
        "mbps_dataset.sources.rendered.ScenesSource.__init__.__defaults__", (2, 0, 64, 128, 0), raising=False
    )
    start = ["train", "stego", "--start", str(tmp_path / "dino"), "--device", "cpu", "--clusters", "7"]
    assert main([*start, "--depth", "builtin", "--output", str(tmp_path / "w")]) == 0
    assert "--set semantics.method=depthg --set semantics.weights=" in capsys.readouterr().out
    network = load("depthg", str(tmp_path / "w"), "cpu")
    assert network.config.clusters == 7 and "depth by SPIdepth of builtin" in network.config.supervision
    assert "no labels; backbone of" in network.config.supervision
    assert (
        main(["train", "stego", "--start", str(tmp_path / "w"), "--output", str(tmp_path / "v"), "--steps", "1"]) == 0
    )
    assert main([*start, "--depth-term", "similarity", "--output", str(tmp_path / "u")]) == 1
    assert "--spread-by-depth and --depth-term need depth; give --depth builtin" in capsys.readouterr().err
