"""`mbps build`: images in, a label set out."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mbps_dataset.recipe import RECIPES, Recipe, get_recipe


HELP = "label the images of a source and write a Hugging Face dataset"
EXAMPLE = "mbps build --recipe demo --source folder --data-dir photos --output build/photos --limit 5"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--recipe", default="demo", help=f"{', '.join(RECIPES)}, or a recipe .json (default: demo)")
    parser.add_argument(
        "--source", choices=("scenes", "cityscapes", "folder"), help="default: guessed from --data-dir"
    )
    parser.add_argument("--data-dir", metavar="DIR", help="Cityscapes tree, folder of photographs, or one image")
    parser.add_argument("--truth-dir", metavar="DIR", help="folder source only: label maps for scoring")
    parser.add_argument(
        "--split", action="append", metavar="NAME", help="split to build; may be repeated (default: all)"
    )
    parser.add_argument("--output", type=Path, metavar="DIR", help="folder to write (default: build/RECIPE)")
    parser.add_argument("--set", action="append", default=[], metavar="STAGE.SETTING=VALUE", dest="settings",
                        help="change a setting of the recipe; `mbps info --recipe NAME` lists them")  # fmt: skip
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N images of each split")
    parser.add_argument("--workers", type=int, metavar="N", help="processes (default: one per core; one on a GPU)")
    parser.add_argument("--device", help="torch device (default: cuda where there is one, else cpu)")
    parser.add_argument("--overwrite", action="store_true", help="replace a label set of another recipe in --output")
    parser.add_argument("--dry-run", action="store_true", help="print recipe, image count, disk and time; do nothing")


def run(arguments: argparse.Namespace) -> int:
    """Build, or say what would be built."""
    from mbps_dataset.build import build, estimate
    from mbps_dataset.builder import MBPSConfig

    recipe = get_recipe(arguments.recipe).with_settings(arguments.settings)
    output = arguments.output or Path("build") / recipe.name
    config = MBPSConfig(
        name=arguments.recipe,
        data_dir=arguments.data_dir,
        source=arguments.source,
        source_options={"truth_dir": arguments.truth_dir} if arguments.truth_dir else None,
        settings=arguments.settings,
        splits=arguments.split,
        limit=arguments.limit,
        store=str(output / "stages"),
        device=arguments.device,
    )
    label_set = config.open_label_set()
    if arguments.dry_run:
        print_recipe(recipe)
        plan = estimate(label_set, output)
        print(f"\n{plan.images} images; about {plan.disk_bytes / 1e9:.2f} GB of disk at {output} "
              f"({plan.free_bytes / 1e9:.1f} GB free); {_duration(label_set, plan.images)}.")  # fmt: skip
        return 0
    label_set.pipeline.weights  # noqa: B018 - missing weights are reported before anything is written
    progress = not arguments.quiet and sys.stderr.isatty()
    result = build(label_set, output, workers=arguments.workers, overwrite=arguments.overwrite, progress=progress)
    print(f"{result.rows} images labelled with recipe {recipe.name}: {output}")
    for failure in result.failures:
        print(f"  not labelled: {failure.reason}", file=sys.stderr)
    if result.failures:
        print(
            f"{len(result.failures)} images could not be labelled; {output / 'labelset.json'} lists them.",
            file=sys.stderr,
        )
    print(f'Load it:  datasets.load_dataset("{output}")\nLook at it:  mbps preview {output}')
    return 3 if result.failures else 0


def print_recipe(recipe: Recipe) -> None:
    """The resolved recipe, one setting a line; values that differ from the named recipe are marked."""
    plain = RECIPES.get(recipe.name, recipe).settings()
    print(f"recipe {recipe.name}: {recipe.summary}")
    for stage, values in recipe.settings().items():
        print(f"  {stage}")
        for name, value in values.items():
            changed = "   (changed)" if value != plain[stage][name] else ""
            print(f"    {name} = {value}{changed}")


def _duration(label_set, images: int) -> str:  # type: ignore[no-untyped-def]
    """Time estimate from labelling the first readable image once, in memory of this process only."""
    import tempfile
    import time

    from mbps_dataset.calibrate import usable
    from mbps_dataset.pipeline import Pipeline
    from mbps_dataset.store import Store
    from mbps_dataset.workers import default_workers

    first = next(iter(usable(label_set.frames(label_set.splits[0]))), None)
    if first is None or label_set.recipe.clusters.method != "probe":
        return "time unknown"
    with tempfile.TemporaryDirectory() as scratch:
        pipeline = Pipeline(label_set.recipe, Store(scratch), label_set.device)
        pipeline.run(pipeline.stages()[0], first)
        start = time.perf_counter()
        second = Pipeline(label_set.recipe, Store(Path(scratch) / "again"), label_set.device)
        for stage in second.stages():
            second.run(stage, first)
        seconds = (time.perf_counter() - start) * images / default_workers(label_set.device)
    return f"about {seconds / 60:.0f} minutes here" if seconds >= 90 else f"about {seconds:.0f} seconds here"
