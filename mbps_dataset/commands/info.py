"""`mbps info`: what a recipe, a label set or an installation holds."""

from __future__ import annotations

import argparse
import json
import textwrap
import typing
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from mbps_dataset._version import __version__
from mbps_dataset.commands.calling import program
from mbps_dataset.errors import InputError
from mbps_dataset.named_recipes import RECIPES, get_recipe
from mbps_dataset.reading.names import shown
from mbps_dataset.recipe import Recipe, stage_names
from mbps_dataset.settings import allowed_values, as_typed


if TYPE_CHECKING:
    from mbps_dataset.labelset.status import BuildStatus

HELP = "show recipes, how far a build is, a label set's provenance and failures, or the versions in use"
EXAMPLE = "mbps info build/demo"


_INDENT = " " * 6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("label_set", nargs="?", type=Path, metavar="LABELSET", help="folder written by `mbps build`")
    parser.add_argument("--recipe", help="show every setting of this recipe, what it means and may be")
    parser.add_argument(
        "--weights",
        metavar="FOLDER",
        help="what weights saw and their licence; of CAUSE: whether labels reached the head",
    )
    parser.add_argument(
        "--json", action="store_true", help="with --recipe: as JSON that --recipe of `mbps build` reads"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print what was asked for."""
    asked = {"LABELSET": arguments.label_set, "--recipe": arguments.recipe, "--weights": arguments.weights}
    if len(given := [name for name, value in asked.items() if value]) > 1:
        raise InputError(f"{' and '.join(given)} are shown one at a time; give one of them.")
    if arguments.json and not arguments.recipe:
        raise InputError("--json writes a recipe; give --recipe too.")
    if arguments.recipe:
        recipe = get_recipe(arguments.recipe)
        print(json.dumps(recipe.to_json(), indent=2)) if arguments.json else _print_settings(recipe)
    elif arguments.weights:
        _print_weights(arguments.weights)
    elif arguments.label_set:
        _print_label_set(arguments.label_set)
    else:
        _print_installation()
    return 0


def _print_weights(reference: str) -> None:
    """What weights saw and under which licence they are, where their configuration says so; of CAUSE also what its head saw."""
    from mbps_dataset.models.cause import CauseSegmenter
    from mbps_dataset.models.cause.label_leak import label_leak_report
    from mbps_dataset.models.networks import weights_folder
    from mbps_dataset.models.saved_network import read_config

    folder = weights_folder("cause", reference)
    config = read_config(folder)
    said = {name: config[name] for name in ("supervision", "licence") if isinstance(config.get(name), str)}
    of_cause = set(config) <= {declared.name for declared in fields(CauseSegmenter.config_class)}
    if of_cause or not said:
        print(label_leak_report(CauseSegmenter.from_pretrained(folder)))
    for name, text in said.items():
        print(f"{name}: {shown(text, 4000)[1:-1]}")


def _print_settings(recipe: Recipe) -> None:
    """Every setting as ``--set`` takes it, with what it means and may be; what differs from the defaults is marked."""
    plain = Recipe("defaults")
    print(
        f"recipe {recipe.name}: {recipe.summary}\n\nChange one with --set STAGE.SETTING=VALUE; * is not the default."
    )
    for stage in stage_names():
        settings, defaults = getattr(recipe, stage), getattr(plain, stage)
        hints = typing.get_type_hints(type(settings))
        print(f"\n{stage}: {' '.join((type(settings).__doc__ or '').split())}")
        for declared in fields(settings):
            value = getattr(settings, declared.name)
            mark = " " if value == getattr(defaults, declared.name) else "*"
            print(f"{mark} {stage}.{declared.name} = {as_typed(value)}")
            about = f"{declared.metadata['help']} [{allowed_values(declared.metadata, hints[declared.name])}]"
            print(textwrap.fill(about, 110, initial_indent=_INDENT, subsequent_indent=_INDENT, break_on_hyphens=False))


def _print_label_set(root: Path) -> None:
    from mbps_dataset.labelset.document import motion_in_words
    from mbps_dataset.labelset.folder import LabelSetFolder
    from mbps_dataset.labelset.status import build_status

    if (root / "stages" / "build.json").is_file():
        try:
            status = build_status(root)
        except InputError:  # its images have moved, which does not matter to a set that was finished
            if not (root / "labelset.json").is_file():
                raise
        else:
            if not status.finished:
                _print_unfinished(root, status)
                return
    document = LabelSetFolder(root).document
    calibration = document["calibration"]
    print(f"label set   {root}\nrecipe      {document['recipe']['name']}: {document['recipe']['summary']}")
    print(f"identity    {document['identity']}\nmade with   mbps-dataset {document['package_version']}")
    print(f"source      {document['source']}")
    for split, counts in document["counts"].items():
        print(f"{split:11} {counts['rows']} images, {counts['segments']} segments, {counts['instances']} instances")
        for line in motion_in_words(document, split):
            print(f"  {line}")
    used = document["ground_truth_used"]
    print(f"truth used  {'; '.join(used) if used else 'none'}")
    for component, supervision in document["supervision"].items():
        print(f"  {component}: {supervision}")
    print(f"things      {listed([c['name'] for c in calibration['classes'] if c['isthing']])}")
    print(f"failures    {len(document['failures'])}")
    for failure in document["failures"]:
        print(f"  {failure['reason']}")


def listed(names: Sequence[str], most: int = 40) -> str:
    """Names in a line; of more than `most`, which nobody reads, the first and the last.

    >>> listed(["car", "bus"]), listed([]), listed([f"thing {k}" for k in range(800)])
    ('car, bus', 'none', 'thing 0, thing 1, … thing 799 (800)')
    """
    if len(names) > most:
        return f"{names[0]}, {names[1]}, … {names[-1]} ({len(names)})"
    return ", ".join(names) or "none"


def _print_unfinished(root: Path, status: BuildStatus) -> None:
    from mbps_dataset.labelling.road import STAGES

    order = status.order
    print(f"unfinished  {root}\nrecipe      {order.recipe.name}: {order.recipe.summary}")
    print(f"source      {dict(order.source)}\nsplits      {', '.join(order.splits)}"
          + (f" (the first {order.limit} images of each)" if order.limit else ""))  # fmt: skip
    print(f"calibrated  {'yes' if status.calibrated else 'no'}")
    for stage, done in status.done.items():
        print(f"  {STAGES[stage].title:16} {done} of {status.images} images")
    print(f"files       {status.files} of {status.planned} written")
    print(f"failures    {len(status.failures)}")
    for failure in status.failures:
        print(f"  {failure.reason}")
    print(f"time left   {duration(status.seconds_left)}\ncontinue    {program()} resume {root}")


def duration(seconds: float | None) -> str:
    """A time in words.

    >>> duration(50), duration(600), duration(9000), duration(None)
    ('about 50 seconds', 'about 10 minutes', 'about 2.5 hours', 'unknown until a first image is done')
    """
    if seconds is None:
        return "unknown until a first image is done"
    if seconds < 90:
        return f"about {seconds:.0f} seconds"
    return f"about {seconds / 60:.0f} minutes" if seconds < 5400 else f"about {seconds / 3600:.1f} hours"


def _print_installation() -> None:
    import importlib.metadata
    import platform

    print(f"mbps-dataset {__version__}, Python {platform.python_version()}, {platform.platform()}")
    for package in ("torch", "datasets", "transformers", "huggingface_hub", "numpy", "scipy", "pillow"):
        print(f"  {package} {importlib.metadata.version(package)}")
    print("recipes:")
    for name, recipe in RECIPES.items():
        print(f"  {name:10} {recipe.summary}")
