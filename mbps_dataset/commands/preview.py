"""`mbps preview`: pictures of a label set, to look at before trusting it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


HELP = "draw a contact sheet and a report page of a label set"
EXAMPLE = "mbps preview build/demo --images 8"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("label_set", type=Path, metavar="LABELSET", help="folder written by `mbps build`")
    parser.add_argument("--split", metavar="NAME", help="split to show (default: the first)")
    parser.add_argument("--images", type=int, default=6, metavar="N", help="images shown, evenly spaced (default: 6)")


def run(arguments: argparse.Namespace) -> int:
    """Draw and say where the pictures are."""
    from mbps_dataset.labelset.folder import LabelSetFolder
    from mbps_dataset.report.page import write_preview

    built = LabelSetFolder(arguments.label_set)
    progress = not arguments.quiet and sys.stderr.isatty()
    sheet, page = write_preview(built, arguments.split or built.splits[0], arguments.images, progress=progress)
    root = arguments.label_set
    print(f"label set  {root}\npicture    {sheet}\nreport     {page}")
    name = built.document["recipe"]["name"]
    print("\nNext, in Python:  from datasets import load_dataset")
    print(f'                  ds = load_dataset("{root}", split="{built.splits[0]}")')
    print(f"Your own photos:  mbps build --recipe {name} --source folder --data-dir PHOTOS --output build/mine")
    return 0
