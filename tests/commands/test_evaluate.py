"""Arguments of `mbps eval`."""

from __future__ import annotations

import pytest

from mbps_dataset.cli import main, parser
from mbps_dataset.commands.evaluate import distances


def test_distances_are_read_between_commas():
    assert distances("0,15,30.5") == (0.0, 15.0, 30.5)
    given = parser().parse_args(["eval", "set", "--by-distance", "0,15"])
    assert given.by_distance == (0.0, 15.0) and not parser().parse_args(["eval", "set"]).by_distance


@pytest.mark.parametrize("text", ["15", "", "0,15,15", "30,0", "0,far"])
def test_other_distances_are_an_error(text, capsys):
    with pytest.raises(SystemExit):
        main(["eval", "set", "--by-distance", text])
    assert f"ascending distances like 0,15,30,60, but got {text!r}" in capsys.readouterr().err


def test_detections_without_a_score_that_uses_them_are_an_error(capsys):
    assert main(["eval", "set", "--detections", "masks.json"]) == 1
    assert "--detections is scored by --masks and --protocol only" in capsys.readouterr().err
