"""`mbps convert`: published files become a folder that the setting it prints can take."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mbps_dataset.cli import main
from mbps_dataset.models.cause import CauseSegmenter
from mbps_dataset.models.depthg import DepthGSegmenter
from mbps_dataset.models.raft import RaftFlow
from tests.models.cascade.published_files import detectron2_file, lightning_file
from tests.models.cause.cause_weights import published_files, tiny_network
from tests.models.depthg.depthg_weights import published_checkpoint, published_tensors
from tests.models.depthg.depthg_weights import tiny_network as tiny_depthg
from tests.models.raft.published_weights import drawn_weights


def test_cause_is_converted_and_the_next_step_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = published_files(tmp_path, tiny_network())
    output = tmp_path / "converted"
    flags = [part for name, path in files.items() for part in (f"--{name}", str(path))]
    assert main(["convert", "cause", *flags, "--output", str(output)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("label leak: ") and f"mbps build --recipe mbps --set semantics.weights={output}" in said
    assert CauseSegmenter.from_pretrained(output).config.clusters == tiny_network().config.clusters
    assert set(json.loads((output / "conversion.json").read_text())["made_from"]) == set(files)


def test_smurf_is_converted_and_says_what_it_saw(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(drawn_weights(seed=1), tmp_path / "raft_smurf.pt")
    output = tmp_path / "converted"
    assert main(["convert", "smurf", "--checkpoint", str(tmp_path / "raft_smurf.pt"), "--output", str(output)]) == 0
    said = capsys.readouterr().out
    assert (
        said.startswith("supervision: self-supervised")
        and f"--set flow.method=raft --set flow.weights={output}" in said
    )
    assert RaftFlow.from_pretrained(output).supervision.startswith("self-supervised")


def test_depthg_is_converted_and_says_what_it_saw(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = published_checkpoint(tmp_path / "depthg.ckpt", published_tensors(tiny_depthg()))
    output = tmp_path / "converted"
    assert main(["convert", "depthg", "--checkpoint", str(path), "--output", str(output)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("supervision: self-supervised")
    assert f"mbps build --recipe cups --set semantics.weights={output} --set flow.weights=" in said
    assert DepthGSegmenter.from_pretrained(output).config.clusters == 27


def test_cups_is_converted_and_its_student_labels_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, output = lightning_file(tmp_path / "cups.ckpt"), tmp_path / "converted"
    assert main(["convert", "cups", "--checkpoint", str(file), "--output", str(output)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("classes: 2 of stuff, 2 of things\nsupervision: self-supervised")
    assert "licence: Apache-2.0 as published" in said and f"mbps predict --weights {output} --data-dir" in said
    (tmp_path / "photos").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photos" / "a.png")
    predict = ["predict", "--weights", str(output), "--data-dir", str(tmp_path / "photos"), "--output"]
    assert main([*predict, str(tmp_path / "set")]) == 0
    document = json.loads((tmp_path / "set" / "labelset.json").read_text())
    assert document["ground_truth_used"] == [] and "no record" not in capsys.readouterr().err
    said = json.dumps(document["supervision"])
    assert "pseudo-labels of Cityscapes stereo video" in said and "licence of the weights: Apache-2.0" in said
    assert "licence of the weights: Apache-2.0" in (tmp_path / "set" / "README.md").read_text()


@pytest.mark.parametrize(("system", "stuff"), [("u2seg", 2), ("cutler", 0), ("cuvler", 0)])
def test_detectron2s_files_are_converted(
    system: str, stuff: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, output = detectron2_file(tmp_path / "x.pth", stuff=stuff), tmp_path / "converted"
    assert main(["convert", system, "--checkpoint", str(file), "--output", str(output)]) == 0
    said = capsys.readouterr().out
    assert f"classes: {stuff} of stuff, 1 of things" in said
    assert ("--output …" if stuff else "--detections ….json") in said  # a detector knows no stuff
    assert main(["convert", "cups", "--teacher", "--checkpoint", str(file), "--output", str(tmp_path / "t")]) == 1
    assert "x.pth holds no teacher" in capsys.readouterr().err and not (tmp_path / "t").exists()


def test_a_missing_file_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        "--encoder",
        str(tmp_path / "e.pth"),
        "--decoder",
        str(tmp_path / "d.pth"),
        "--output",
        str(tmp_path / "out"),
    ]
    assert main(["convert", "spidepth", *arguments]) == 1
    said = capsys.readouterr().err
    assert str(tmp_path / "e.pth") in said and said.count("\n") == 1 and not (tmp_path / "out").exists()
