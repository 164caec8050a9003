"""The arguments that say which images are meant: one set, of every command that opens a source."""

from __future__ import annotations

import argparse
from typing import Any

from mbps_dataset.source_names import source_names


def add_source_arguments(parser: argparse.ArgumentParser, *, default: str | None = None, truth: bool = True) -> None:
    """Declare ``--source``, ``--data-dir`` and ``--source-option``, and with `truth` also ``--truth-dir``.

    `default` is the source where none is named; None guesses it from ``--data-dir``.
    """
    parser.add_argument(
        "--source",
        choices=source_names(),
        default=default,
        metavar="NAME",
        help=f"{', '.join(source_names())} (default: {default or 'guessed from --data-dir'})",
    )
    parser.add_argument(
        "--data-dir",
        metavar="DIR",
        help="tree of the data set, folder of photographs, or one image; docs/data-sets.md",
    )
    if truth:
        parser.add_argument("--truth-dir", metavar="DIR", help="folder source only: label maps for scoring")
    parser.add_argument(
        "--source-option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        dest="source_options",
        help="sequence=true of cityscapes: all frames of leftImg8bit_sequence; coarse=true: labels of gtCoarse; train, validation, height, width of "
        "scenes; image, label, … of hub: names of columns; may be repeated",
    )


def source_options(arguments: argparse.Namespace, name: str) -> dict[str, Any]:
    """Arguments of the source `name` beside its folder. Raises `InputError` for options that it does not have."""
    from mbps_dataset.sources import read_source_options

    truth = getattr(arguments, "truth_dir", None)
    return read_source_options(name, arguments.source_options) | ({"truth_dir": truth} if truth else {})
