"""`mbps convert`: published files become a folder that the setting it prints can take."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from mbps_dataset.cli import main
from mbps_dataset.models.cause import CauseSegmenter
from mbps_dataset.models.depthg import DepthGSegmenter
from mbps_dataset.models.raft import RaftFlow
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
