"""`mbps calibrate`: the build that follows takes the calibration and does not take it again."""

from __future__ import annotations

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
