"""Every command that opens a source takes the same arguments for it."""

from __future__ import annotations

import argparse

import pytest

from mbps_dataset.cli import parser as command_line
from mbps_dataset.commands.source_arguments import add_source_arguments, source_options
from mbps_dataset.errors import InputError
from mbps_dataset.source_names import source_names


LINES = (
    "build",
    "ablate",
    "predict --weights w --output o",
    "train cause --output o",
    "train stego --start s --output o",
    "train spidepth --output o",
)


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("source", source_names())
def test_every_command_takes_every_source(line, source):
    given = command_line().parse_args([*line.split(), "--source", source, "--source-option", "a=1", "--data-dir", "d"])
    assert (given.source, given.source_options, given.data_dir) == (source, ["a=1"], "d")


def parsed(*line: str, **settings) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_source_arguments(parser, **settings)
    return parser.parse_args(line)


def test_the_default_is_guessed_or_named(capsys):
    assert parsed().source is None and parsed(default="scenes").source == "scenes"
    with pytest.raises(SystemExit):
        parsed("--source", "mapillary")
    assert "invalid choice: 'mapillary'" in capsys.readouterr().err


def test_options_are_those_of_the_source():
    assert source_options(parsed("--source-option", "sequence=true"), "cityscapes") == {"sequence": True}
    assert source_options(parsed("--truth-dir", "t"), "folder") == {"truth_dir": "t"}
    assert source_options(parsed(truth=False), "folder") == {}
    with pytest.raises(InputError, match="is no option of the source 'acdc'; it has none"):
        source_options(parsed("--source-option", "sequence=true"), "acdc")
