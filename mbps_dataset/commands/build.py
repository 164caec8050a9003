"""`mbps build`: images in, a label set out."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mbps_dataset.commands.calling import program
from mbps_dataset.commands.source_arguments import add_source_arguments, source_options
from mbps_dataset.errors import InputError
from mbps_dataset.named_recipes import RECIPES, get_recipe
from mbps_dataset.recipe import Recipe
from mbps_dataset.settings import as_typed


if TYPE_CHECKING:
    from mbps_dataset.labelling.labelling import Labelling
    from mbps_dataset.labelset.build import BuildResult


HELP = "label the images of a source and write a Hugging Face dataset"
EXAMPLE = "mbps build --recipe demo --source folder --data-dir photos --output build/photos --limit 5"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_label_set_arguments(parser)
    add_work_arguments(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace a label set of another recipe in --output")
    parser.add_argument("--dry-run", action="store_true", help="print recipe, image count, disk and time; do nothing")


def add_label_set_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments that say what is labelled and how; `mbps calibrate` has them too."""
    parser.add_argument("--recipe", default="demo", help=f"{', '.join(RECIPES)}, or a recipe .json (default: demo)")
    add_source_arguments(parser)
    parser.add_argument(
        "--split", action="append", metavar="NAME", help="split to build; may be repeated (default: all)"
    )
    parser.add_argument("--output", type=Path, metavar="DIR", help="folder to write (default: build/RECIPE)")
    parser.add_argument("--set", action="append", default=[], metavar="STAGE.SETTING=VALUE", dest="settings",
                        help="change a setting of the recipe; `mbps info --recipe NAME` lists them")  # fmt: skip
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N images of each split")


def add_work_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments that say who does the work, not what it is; `mbps resume` has them too."""
    parser.add_argument("--workers", type=positive, metavar="N", help="processes (default: one per core; one on a GPU);"
                        " with --executor: tasks that run at a time (default: all)")  # fmt: skip
    parser.add_argument("--device", help="torch device (default: cuda where there is one, else cpu)")
    parser.add_argument("--shard", type=shard, metavar="I/N",
                        help="only the I-th of N Parquet files of each split, counted from 0; the last one missing, or "
                             "`mbps resume`, completes the set")  # fmt: skip
    parser.add_argument("--executor", choices=("local", "slurm", "ray"),
                        help="calibrate once, then make --tasks shards in parallel through datatrove, then complete the "
                             "set (pip install mbps-dataset[cluster], or [ray])")  # fmt: skip
    parser.add_argument("--tasks", type=positive, metavar="N", help="with --executor: shards, one task each")
    parser.add_argument("--executor-option", action="append", default=[], metavar="NAME=VALUE", dest="executor_options",
                        help="an argument of datatrove's executor, such as partition=gpu or time=04:00:00")  # fmt: skip


def positive(text: str) -> int:
    """A whole number of at least 1."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def shard(text: str) -> tuple[int, int]:
    """``I/N`` with 0 <= I < N."""
    index, _, count = text.partition("/")
    if not (index.isdigit() and count.isdigit() and int(index) < int(count)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a shard I/N such as 0/4 (of 0/4 to 3/4)")
    return int(index), int(count)


def run(arguments: argparse.Namespace) -> int:
    """Build, or say what would be built."""
    from mbps_dataset.labelset.build import estimate

    label_set, output = open_label_set(arguments)
    label_set.require_truth()
    if arguments.dry_run:
        _tell_what_is_left_out(label_set)
        print_recipe(label_set.recipe)
        plan = estimate(label_set, output)
        print(f"\n{plan.images} images; about {plan.disk_bytes / 1e9:.2f} GB of disk at {output} "
              f"({plan.free_bytes / 1e9:.1f} GB free); {_duration(label_set, plan.images)}.")  # fmt: skip
        return 0
    return work(label_set, output, arguments, overwrite=arguments.overwrite)


def open_label_set(arguments: argparse.Namespace) -> tuple[Labelling, Path]:
    """The label set that `add_label_set_arguments` and ``--device`` describe, and its folder."""
    from mbps_dataset.hub.builder import MBPSConfig

    output = arguments.output or Path("build") / get_recipe(arguments.recipe).name
    config = MBPSConfig.for_recipe(
        arguments.recipe,
        data_dir=arguments.data_dir,
        source=arguments.source,
        settings=arguments.settings,
        splits=arguments.split,
        limit=arguments.limit,
        store=str(output / "stages"),
        device=arguments.device,
    )
    config.source_options = source_options(arguments, config.source_name())
    return config.open_label_set(), output


def work(label_set: Labelling, output: Path, arguments: argparse.Namespace, *, overwrite: bool = False) -> int:
    """Build here, or through an executor; print what came of it and return the exit status."""
    from mbps_dataset.labelset.build import build

    _require_that_all_is_used(arguments)
    _require_device(label_set.device)
    label_set.run.contents  # noqa: B018 - missing weights are reported before anything is written
    if label_set.source.name == "cityscapes" and label_set.recipe.output.with_images:
        print(
            f"{output} will hold the original Cityscapes frames, which may not be passed on; --set "
            "output.with_images=false leaves them out.",
            file=sys.stderr,
        )
    _tell_what_is_left_out(label_set)
    progress = not arguments.quiet
    if arguments.executor is None:
        result = build(
            label_set, output, workers=arguments.workers, overwrite=overwrite, progress=progress, shard=arguments.shard
        )
        return report(result, label_set.recipe.name)
    from mbps_dataset.labelset.cluster import build_with_executor

    done = build_with_executor(
        label_set,
        output,
        arguments.executor,
        tasks=arguments.tasks,
        at_a_time=arguments.workers,
        options=arguments.executor_options,
        overwrite=overwrite,
        progress=progress,
    )
    if done is None:
        print(f"Jobs are submitted; `{program()} info {output}` says how far they are.")
        return 0
    return report(done, label_set.recipe.name)


def _require_that_all_is_used(arguments: argparse.Namespace) -> None:
    """Raises `InputError` for an argument that another one, or its absence, leaves without effect."""
    if arguments.executor and arguments.shard:
        raise InputError("--executor makes all shards itself; leave out --shard.")
    if not arguments.executor and (arguments.tasks or arguments.executor_options):
        raise InputError("--tasks and --executor-option are for --executor; give it too.")


def _tell_what_is_left_out(label_set: Labelling) -> None:
    from mbps_dataset.sources.folder import left_out_in_words

    if label_set.source.left_out:
        print(left_out_in_words(label_set.source.left_out), file=sys.stderr)


def _require_device(device: str) -> None:
    """Raises `InputError` for a GPU that is not there, before anything is written."""
    import torch

    wanted = torch.device(device)
    if wanted.type == "cuda" and (wanted.index or 0) >= torch.cuda.device_count():
        raise InputError(
            f"device {device!r}: this machine has {torch.cuda.device_count()} CUDA devices; give --device cpu."
        )


def report(result: BuildResult, recipe: str) -> int:
    """Print what a build did; the exit status is 3 if images failed."""
    from mbps_dataset.labelset.document import motion_in_words, rendered_only
    from mbps_dataset.labelset.folder import LabelSetFolder

    output = result.root
    if not result.finished:
        print(f"{result.rows} images of this shard labelled with recipe {recipe}: {output}")
        print(f"Other shards are missing; `{program()} info {output}` lists what is left.")
    else:
        print(f"{result.rows} images labelled with recipe {recipe}: {output}")
    for failure in result.failures:
        print(f"  not labelled: {failure.reason}", file=sys.stderr)
    if result.failures:
        count = len(result.failures)
        print(
            f"{count} {'image' if count == 1 else 'images'} could not be labelled; {output / 'labelset.json'} "
            f"{'lists' if result.finished else 'will list'} {'it' if count == 1 else 'them'}.",
            file=sys.stderr,
        )
    if result.finished:
        document = LabelSetFolder(output).document
        for split in document["splits"]:
            print("".join(f"  {split}: {line}\n" for line in motion_in_words(document, split)), end="")
        print("".join(f"  {note}\n" for note in document["calibration"].get("notes", ())), end="")
        if caution := rendered_only(document):
            print(caution)
        print(f'Load it:  datasets.load_dataset("{output}")\nLook at it:  {program()} preview {output}')
    return 3 if result.failures else 0


def print_recipe(recipe: Recipe) -> None:
    """The resolved recipe, one setting a line as ``--set`` takes it; what differs from the named recipe is marked."""
    plain = RECIPES.get(recipe.name, recipe).settings()
    print(f"recipe {recipe.name}: {recipe.summary}")
    for stage, values in recipe.settings().items():
        print(f"  {stage}")
        for name, value in values.items():
            changed = "   (changed)" if value != plain[stage][name] else ""
            print(f"    {name} = {as_typed(value)}{changed}")


def _duration(label_set: Labelling, images: int) -> str:
    """Time estimate from running the stages of the first readable image once, in memory of this process only."""
    import tempfile
    import time

    from mbps_dataset.labelling.road import before_calibration, stages_of
    from mbps_dataset.labelling.stage import Run
    from mbps_dataset.labelling.workers import default_workers
    from mbps_dataset.store import Store

    stages = before_calibration(label_set.recipe)
    first = next(label_set.run.visits(label_set.frames(label_set.splits[0])), None)
    if first is None or len(stages) < len(stages_of(label_set.recipe)) - 1:
        return "time unknown"
    with tempfile.TemporaryDirectory() as scratch:
        warm, timed = (
            Run(label_set.recipe, Store(Path(scratch) / name), label_set.device).visit(first.frame)
            for name in ("warm", "timed")
        )
        warm.result(stages[0])
        start = time.perf_counter()
        for stage in stages:
            timed.result(stage)
        seconds = (time.perf_counter() - start) * images / default_workers(label_set.device)
    return f"about {seconds / 60:.0f} minutes here" if seconds >= 90 else f"about {seconds:.0f} seconds here"
