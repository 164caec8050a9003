"""`mbps calibrate`: the build that follows takes the calibration and does not take it again."""

from __future__ import annotations

import re

from mbps_dataset import cli
from tests.tiny import tiny_settings


def test_a_build_goes_on_from_the_calibration(tmp_path, capsys):
    settings = [part for each in tiny_settings(tmp_path, 3) for part in ("--set", each)]
    output = tmp_path / "set"
    common = ["--source", "folder", "--data-dir", str(tmp_path / "photos"), "--output", str(output), "--workers", "1",
              "--device", "cpu", *settings]  # fmt: skip
    assert cli.main(["--quiet", "calibrate", *common]) == 0
    told = capsys.readouterr().out
    assert "by 3 images; from ground truth: nothing" in told and told.count("  stuff  ") + told.count("  thing  ") >= 5
    (taken,) = (output / "stages" / "calibration").glob("*.json")
    before = taken.stat().st_mtime_ns
    assert not list(output.rglob("*.parquet"))
    assert cli.main(["--quiet", "build", *common]) == 0
    assert [(path, path.stat().st_mtime_ns) for path in taken.parent.glob("*.json")] == [(taken, before)]
    assert list(output.rglob("*.parquet"))


def test_another_recipe_is_refused(tmp_path, capsys):
    settings = [part for each in tiny_settings(tmp_path, 3) for part in ("--set", each)]
    common = ["--source", "folder", "--data-dir", str(tmp_path / "photos"), "--output", str(tmp_path / "set"),
              "--workers", "1", "--device", "cpu", *settings]  # fmt: skip
    assert cli.main(["--quiet", "calibrate", *common]) == 0
    assert cli.main(["--quiet", "calibrate", *common, "--set", "things.n_things=2"]) == 1
    assert "holds a label set of another recipe: things.n_things: 2 != 6" in capsys.readouterr().err


def test_how_many_clusters_are_stable_is_printed_and_nothing_is_kept(tmp_path, capsys):
    settings = [part for each in tiny_settings(tmp_path, 4) for part in ("--set", each)]
    common = ["--source", "folder", "--data-dir", str(tmp_path / "photos"), "--output", str(tmp_path / "set"),
              "--workers", "1", "--device", "cpu", *settings, "--set", "clusters.method=kmeans"]  # fmt: skip
    assert cli.main(["--quiet", "calibrate", *common, "--counts", "2,4,6"]) == 0
    first, *lines, last = capsys.readouterr().out.splitlines()
    assert first.startswith("Agreement of clusters") and [line.split()[0] for line in lines] == ["2", "4", "6"]
    assert all(-0.5 <= float(line.split()[1]) <= 1 for line in lines)
    assert re.fullmatch(r"The largest number within 0.05 of the best: --set clusters.count=[246]", last)
    assert not (tmp_path / "set" / "stages" / "calibration").exists()
    assert cli.main(["--quiet", "calibrate", *common, "--counts", "4000"]) == 1
    assert "How stable clusters are cannot be said: Expected at least 4000 distinct tokens" in capsys.readouterr().err
    assert cli.main(["--quiet", "calibrate", *common, "--counts", "1,2"]) == 1
    assert "--counts must be of at least 2 clusters, but holds 1." in capsys.readouterr().err
