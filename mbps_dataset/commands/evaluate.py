"""`mbps eval`: a label set against ground truth."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path


HELP = "score a label set against ground truth"
EXAMPLE = "mbps eval build/demo --split validation --json build/demo/quality.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("label_set", type=Path, metavar="LABELSET", help="folder written by `mbps build`")
    parser.add_argument("--split", metavar="NAME", help="split to score (default: all)")
    parser.add_argument(
        "--convention", default="coco", choices=("coco", "cups"), help="void and crowd rules (default: coco)"
    )
    parser.add_argument("--matching", choices=("none", "hungarian", "hungarian_split", "majority"),
                        help="pseudo-class to class (default: hungarian for unnamed clusters, else none)")  # fmt: skip
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the result as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Score and print."""
    from mbps_dataset.built import BuiltLabelSet
    from mbps_dataset.scoring import score
    from mbps_dataset.store import write_atomically

    built = BuiltLabelSet(arguments.label_set)
    progress = not arguments.quiet and sys.stderr.isatty()
    scored = score(
        built,
        splits=(arguments.split,) if arguments.split else built.splits,
        convention=arguments.convention,
        matching=arguments.matching,
        progress=progress,
    )
    print(scored.table())
    for reason in scored.skipped:
        print(f"  not scored: {reason}", file=sys.stderr)
    if arguments.json:
        write_atomically(arguments.json, (json.dumps(scored.to_dict(), indent=2) + "\n").encode())
        print(f"written: {arguments.json}")
    return 0
