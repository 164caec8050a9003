"""`mbps resume`: go on with a build from what its folder says."""

from __future__ import annotations

import argparse
from pathlib import Path

from mbps_dataset.commands.build import add_work_arguments, work
from mbps_dataset.errors import InputError


HELP = "continue an unfinished build, or mend a damaged one, from what its folder says"
EXAMPLE = "mbps resume build/photos"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("output", type=Path, metavar="OUTPUT", help="the --output of `mbps build`")
    add_work_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Open the build that the folder was begun with, and do what is missing of it."""
    from mbps_dataset.labelset.order import BuildOrder

    output = arguments.output.absolute()
    order = BuildOrder.read(output)
    if order is None:
        raise InputError(
            f"{arguments.output} does not say what it is to hold: no build was begun there, or its notes are damaged. "
            "Run the `mbps build` command again; finished images are kept."
        )
    return work(order.open(output, device=arguments.device), output, arguments)
