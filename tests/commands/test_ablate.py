"""`mbps ablate` as a person meets it."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from mbps_dataset.ablation import ImpossibleRowError
from mbps_dataset.cli import main


QUICK = ["--limit", "1", "--workers", "1", "--set", "crf.enabled=false", "--set", "instances.short_side=128"]


def test_it_prints_and_saves_the_tables(tmp_path, capsys):
    arguments = ["ablate", "--tables", "merging", "5", *QUICK, "--output", str(tmp_path)]
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert "on 1 images of `scenes`, split `validation`" in out and "convention `report`" in out
    assert out.index("**Table 5") < out.index("**Merging") and "0.10 / 500 (this recipe)" in out
    assert (tmp_path / "ablation.md").read_text() in out
    document = json.loads((tmp_path / "ablation.json").read_text())
    assert list(document["tables"]) == ["5", "merging"] and document["about"]["fusion_order"] == "overwrite"
    assert document["about"]["source"]["validation"] == 1
    assert main([*arguments, "--set", "fusion.order=report"]) == 0
    assert "Fusion `report`" in capsys.readouterr().out


def test_a_row_that_cannot_be_ends_it_in_one_line(tmp_path, capsys, monkeypatch):
    def impossible(*_, **__):
        raise ImpossibleRowError("Full pipeline: error: PQ 20 is not the mean of its parts.")

    monkeypatch.setattr("mbps_dataset.ablation.run_ablation", impossible)
    assert main(["ablate", *QUICK, "--output", str(tmp_path)]) == 1
    err = capsys.readouterr().err
    assert err.startswith("mbps ablate: Full pipeline: error") and "mistake of the evaluation" in err
    assert err.count("\n") == 1 and not (tmp_path / "ablation.md").exists()


def test_tables_of_cups_take_its_rules_and_the_recipe_of_stereo_video(tmp_path, capsys):
    pytest.importorskip("cv2", reason="OpenCV is not installed (pip install 'mbps-dataset[motion]')")
    small = ["--set", "flow.short_side=128", "--set", "semantics.flip=false"]
    arguments = ["ablate", "--tables", "cups-6", *QUICK, *small, "--output", str(tmp_path)]
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert "Recipe `demo-motion` on 1 images of `scenes`" in out and "convention `cups`" in out
    assert "| psi = 0.08 (this recipe) |" in out and "Distances" not in out
    document = json.loads((tmp_path / "ablation.json").read_text())
    assert document["about"]["fusion_order"] == "report" and document["about"]["distances"] is None
    assert document["about"]["matching"].startswith("hungarian_split for PQ")
    published = [row["published_percent"]["pq"] for row in document["tables"]["cups-6"]["rows"]]
    assert published == [17.8, 18.1, 18.1, 18.1, 17.7, 16.7]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tables", "4", "cups"], "Table 4 is the report's, which scores by other rules than CUPS does"),
        (["--tables", "cups", "--detections", "CutLER=a.json"], "--detections is for tables 4, 6 and hybrid"),
        (["--tables", "cups-6", "--by-distance", "0,5"], "--by-distance is for the table cups-10b"),
        (["--tables", "cups", "--recipe", "motion"], "The recipe 'motion' needs images"),
        (["--tables", "9"], "Unknown table '9'; known are 4, 5"),
        (["--recipe", "nope"], "Unknown recipe 'nope'"),
        (["--detections", "CutLER"], "'CutLER' names no detections"),
        (["--set", "instances.tau=1"], "Unknown setting 'instances.tau'"),
        (["--split", "test"], "No split 'test'; there is validation"),
        (["--recipe", "mbps"], "The recipe 'mbps' needs images"),
    ],
)
def test_mistakes_are_one_line(arguments, message, capsys, tmp_path):
    assert main(["ablate", *arguments, "--output", str(tmp_path)]) == 1
    err = capsys.readouterr().err
    assert err.startswith(f"mbps ablate: {message}") and err.count("\n") == 1


def test_photographs_are_no_stereo_video(tmp_path, capsys):
    Image.new("RGB", (128, 64)).save(tmp_path / "a.png")
    arguments = ["--source", "folder", "--data-dir", str(tmp_path), "--output", str(tmp_path / "out")]
    assert main(["ablate", "--tables", "cups", *arguments]) == 1
    assert "has no stereo video in 'train': no image of the right eye (1 of 1)" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_photographs_without_truth_are_refused(tmp_path, capsys):
    Image.new("RGB", (128, 64)).save(tmp_path / "a.png")
    assert main(["ablate", "--source", "folder", "--data-dir", str(tmp_path)]) == 1
    assert "has no ground truth in split 'train'" in capsys.readouterr().err
