"""`mbps preview`: pictures of a label set, to look at before trusting it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mbps_dataset.commands.calling import program


HELP = "draw a contact sheet and a report page of a label set"
EXAMPLE = "mbps preview build/demo --images 8"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("label_set", type=Path, metavar="LABELSET", help="folder written by `mbps build`")
    parser.add_argument("--split", metavar="NAME", help="split to show (default: the first)")
    parser.add_argument("--images", type=int, default=6, metavar="N", help="images shown, evenly spaced (default: 6)")
    parser.add_argument("--truth", type=Path, metavar="PATH",
                        help="ground truth in any form that `mbps eval` reads (default: that of the set's own source)")  # fmt: skip
    parser.add_argument(
        "--data-dir", type=Path, metavar="DIR", help="where the images of the set lie now, if they moved"
    )


def run(arguments: argparse.Namespace) -> int:
    """Draw and say where the pictures are."""
    from mbps_dataset.labelset.folder import LabelSetFolder
    from mbps_dataset.report.page import write_preview

    root = arguments.label_set
    built = LabelSetFolder(root)
    written = write_preview(
        built,
        arguments.split or built.splits[0],
        arguments.images,
        data_dir=arguments.data_dir,
        truth=arguments.truth,
        progress=not arguments.quiet,
    )
    if written.fault and arguments.truth is None and _may_have_truth(built.document["source"]):
        print(f"Without ground truth: {written.fault}", file=sys.stderr)
    print(f"label set  {root}\npicture    {written.sheet}\nreport     {written.page}")
    print("\nNext, in Python:  from datasets import load_dataset")
    print(f'                  ds = load_dataset("{root}", split="{built.splits[0]}")')
    print(_next_step(built.document, root))
    return 0


def _may_have_truth(source: Mapping[str, Any]) -> bool:
    """Whether images of a remembered source could have ground truth; photographs without a folder of it never had."""
    return source["name"] not in ("folder", "stereo") or bool(source.get("truth_dir"))


def _next_step(document: Mapping[str, Any], root: Path) -> str:
    """What a person may want next: own photographs after the demo, and after those what can be done with them."""
    recipe, source = document["recipe"]["name"], document["source"]["name"]
    if source == "scenes" and "predicted" in document:
        weights = document["recipe"]["settings"]["network"]["weights"]
        return f"Your own photos:  {program()} predict --weights {weights} --data-dir PHOTOS --output build/mine"
    if source == "scenes":
        yours = "folder --data-dir PHOTOS" if "motion" not in document else "stereo --data-dir STEREO_VIDEO"
        return f"Your own photos:  {program()} build --recipe {recipe} --source {yours} --output build/mine"
    if document["limit"]:
        return "All your images:  the same command to build, without --limit"
    return f"For other tools:  {program()} export {root} exports/coco --format coco-panoptic"
