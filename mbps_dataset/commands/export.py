"""`mbps export`: a label set in the format of another tool."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


HELP = "write a label set as coco-panoptic, cityscapes, cups or maskformer files; labels only"
EXAMPLE = (
    "mbps export build/mbps exports/coco --format coco-panoptic\n"
    "  mbps export org/mbps-pseudo exports/cups --revision v1.0.0 --format cups --split train"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    from mbps_dataset.exports.formats import FORMATS

    parser.add_argument(
        "label_set", metavar="LABELSET", help="folder written by `mbps build`, or OWNER/NAME of a dataset on the Hub"
    )
    parser.add_argument("target", type=Path, metavar="TARGET", help="folder to write; must be empty or not exist")
    parser.add_argument("--format", required=True, choices=tuple(FORMATS), help="what will read the files")
    parser.add_argument(
        "--split", action="append", metavar="NAME", help="split to export; may be repeated (default: all)"
    )
    parser.add_argument("--recipe", metavar="NAME", help="of a release that holds several recipes")
    parser.add_argument("--revision", metavar="TAG", help="tag or branch on the Hub (default: the newest state)")
    parser.add_argument("--size", type=height_by_width, metavar="HxW",
                        help="cups: training resolution (default: 0.625 of the labels', 640x1280 for Cityscapes)")  # fmt: skip


def height_by_width(text: str) -> tuple[int, int]:
    """
    >>> height_by_width("640x1280")
    (640, 1280)
    """
    height, _, width = text.lower().partition("x")
    if not (height.isdigit() and width.isdigit() and int(height) and int(width)):
        raise argparse.ArgumentTypeError(f"{text!r} is no size; write HEIGHTxWIDTH in pixels, e.g. 640x1280")
    return int(height), int(width)


def run(arguments: argparse.Namespace) -> int:
    """Export and say what the format holds and what it does not."""
    from mbps_dataset.exports.formats import FORMATS
    from mbps_dataset.exports.label_sets import open_label_set
    from mbps_dataset.exports.writing import export

    built = open_label_set(arguments.label_set, recipe=arguments.recipe, revision=arguments.revision)
    result = export(
        built,
        arguments.target,
        arguments.format,
        splits=arguments.split or (),
        size=arguments.size,
        progress=not arguments.quiet and sys.stderr.isatty(),
    )
    module = FORMATS[arguments.format]
    images = sum(result.description.splits.values())
    print(f"{images} images exported as {arguments.format}: {result.target}")
    print(f"held      {module.HELD}\nnot held  {module.NOT_HELD}")
    for note in result.notes:
        print(f"note      {note}")
    print(f"Read it back:  mbps eval {result.target} --truth TRUTH")
    return 0
