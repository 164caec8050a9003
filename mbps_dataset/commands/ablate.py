"""`mbps ablate`: which component contributes what, in the tables of the report."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mbps_dataset.commands.evaluate import distances
from mbps_dataset.commands.source_arguments import add_source_arguments, source_options
from mbps_dataset.errors import InputError
from mbps_dataset.named_recipes import RECIPES, get_recipe


if TYPE_CHECKING:
    from mbps_dataset.sources import Source


HELP = "measure which component contributes what, in the report's tables, on a source with ground truth"
EXAMPLE = (
    "mbps ablate --recipe demo --output build/ablation\n"
    "  mbps ablate --tables cups --output build/ablation-cups\n"
    "  mbps ablate --recipe mbps --data-dir cityscapes --split validation --tables 4 6 hybrid --detections CuVLER=cuvler.json@0.35"
)
SCENES = 16
"""Rendered scenes measured unless --limit says otherwise."""
RESAMPLES = 1000
"""Times that the images are drawn again for the intervals in the tables of CUPS."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "--recipe", help=f"{', '.join(RECIPES)}, or a recipe .json (default: demo; demo-motion for the tables of CUPS)"
    )
    parser.add_argument("--tables", nargs="+", default=[], metavar="TABLE",
                        help="4 components, 5 tau and A_min, 6 instance methods, 7 stuff and things, 8 CRF, true-maps, "
                             "merging, hybrid (default: all these); cups: CUPS' tables cups-5 components, cups-6 psi, "
                             "cups-10a resolutions, cups-10b mIoU by distance")  # fmt: skip
    add_source_arguments(parser)
    parser.add_argument("--split", metavar="NAME", help="split to measure on (default: validation where there is one)")
    parser.add_argument(
        "--limit", type=int, metavar="N", help=f"only the first N images (default: all; {SCENES} rendered scenes)"
    )
    parser.add_argument("--set", action="append", default=[], metavar="STAGE.SETTING=VALUE", dest="settings",
                        help="change a setting of the recipe in every row; rows change theirs after it")  # fmt: skip
    parser.add_argument("--detections", action="append", default=[], metavar="NAME=FILE[,FILE][@SCORE]",
                        help="masks of a detector for tables 4, 6 and hybrid; may be repeated")  # fmt: skip
    parser.add_argument("--convention", choices=("report", "coco", "cups"),
                        help="void and crowd rules of PQ (default: report, as its tables; cups for those of CUPS)")  # fmt: skip
    parser.add_argument("--by-distance", type=distances, metavar="M,M,…",
                        help="for cups-10b: limits of the ranges, inf for none (default: 0,10,30,inf); by true depth in metres, "
                             "or else the recipe's own depth in its unit")  # fmt: skip
    parser.add_argument("--output", type=Path, metavar="DIR", help="folder to write (default: build/ablation-RECIPE)")
    parser.add_argument("--workers", type=int, metavar="N", help="processes (default: one per core; one on a GPU)")
    parser.add_argument("--device", help="torch device (default: cuda where there is one, else cpu)")


def run(arguments: argparse.Namespace) -> int:
    """Measure, print and save. The same command goes on where it was stopped."""
    from mbps_dataset.ablation import (
        CUPS_DISTANCES,
        Detector,
        ImpossibleRowError,
        as_document,
        as_markdown,
        choose_tables,
        run_ablation,
        wants_cups,
    )
    from mbps_dataset.hub.builder import default_device
    from mbps_dataset.store import Store, write_atomically

    of_cups = wants_cups(arguments.tables)
    _require_that_all_is_used(arguments, of_cups)
    name = arguments.recipe or ("demo-motion" if of_cups else "demo")
    # The report's tables were taken with the evaluator that overwrites; --set fusion.order=… comes after and wins.
    order = [] if of_cups else ["fusion.order=overwrite"]
    recipe = get_recipe(name).with_settings([*order, *arguments.settings])
    limits = arguments.by_distance or CUPS_DISTANCES
    tables = choose_tables(arguments.tables, recipe, list(map(Detector.parse, arguments.detections)), limits)
    source = _open_source(arguments, name)
    output = arguments.output or Path("build") / f"ablation-{recipe.name}"
    try:
        done = run_ablation(
            recipe,
            source,
            arguments.split or ("validation" if "validation" in source.splits() else source.splits()[0]),
            Store(output / "stages"),
            tables,
            limit=arguments.limit,
            convention=arguments.convention or ("cups" if of_cups else "report"),
            names_apart=of_cups,
            resamples=RESAMPLES if of_cups else 0,
            device=arguments.device or default_device(),
            workers=arguments.workers,
            progress=not arguments.quiet,
        )
    except ImpossibleRowError as error:
        print(f"mbps ablate: {error} This is a mistake of the evaluation; please report it.", file=sys.stderr)
        return 1
    text = as_markdown(done.head, done.tables)
    write_atomically(output / "ablation.md", text.encode())
    write_atomically(
        output / "ablation.json", (json.dumps(as_document(done.about, done.tables), indent=2) + "\n").encode()
    )
    print(text)
    print(f"written: {output / 'ablation.md'}, {output / 'ablation.json'}")
    return 0


def _require_that_all_is_used(arguments: argparse.Namespace, of_cups: bool) -> None:
    """Raises `InputError` for an argument that the tables leave without effect."""
    if arguments.detections and of_cups:
        raise InputError("--detections is for tables 4, 6 and hybrid of the report; leave it out with those of CUPS.")
    if arguments.by_distance and not {"cups", "cups-10b"} & set(arguments.tables):
        raise InputError("--by-distance is for the table cups-10b; add it to --tables.")


def _open_source(arguments: argparse.Namespace, recipe: str) -> Source:
    """The source as `mbps build` opens it; rendered scenes are validation scenes, as many as are measured."""
    from mbps_dataset.hub.builder import MBPSConfig

    name = arguments.source
    if name is None and arguments.data_dir is None and recipe in ("demo", "demo-motion"):
        name = "scenes"
    config = MBPSConfig.for_recipe(recipe, data_dir=arguments.data_dir, source=name)
    measured = {"train": 0, "validation": arguments.limit or SCENES} if name == "scenes" else {}
    config.source_options = measured | source_options(arguments, config.source_name())
    return config.open_source()
