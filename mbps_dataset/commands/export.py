"""`mbps export`: a label set in the format of another tool."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from mbps_dataset.commands.calling import program


if TYPE_CHECKING:
    from mbps_dataset.formats.attached_images import AttachedImages


HELP = "write a label set for other tools: labels as coco-panoptic, cityscapes, cups or maskformer, or a trainer's whole folder"
EXAMPLE = (
    "mbps export build/mbps exports/coco --format coco-panoptic\n"
    "  mbps export build/mbps exports/lightly --layout lightly\n"
    "  mbps export exports/coco build/corrected --format parquet\n"
    "  mbps export org/mbps-pseudo exports/cups --revision v1.0.0 --format cups --split train"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    from mbps_dataset.formats.layouts import LABEL_FORMATS, LAYOUTS

    parser.add_argument(
        "label_set",
        metavar="LABELSET",
        help="folder written by `mbps build`, OWNER/NAME of a dataset on the Hub, or (for parquet) an export",
    )
    parser.add_argument("target", type=Path, metavar="TARGET", help="folder to write; must be empty or not exist")
    form = parser.add_mutually_exclusive_group(required=True)
    form.add_argument("--format", choices=(*LABEL_FORMATS, "parquet"),
                      help="what will read the labels; parquet makes an export a label set again")  # fmt: skip
    form.add_argument("--layout", choices=tuple(LAYOUTS),
                      help="the trainer that will read the folder, with images linked and classes named")  # fmt: skip
    parser.add_argument(
        "--split", action="append", metavar="NAME", help="split to export; may be repeated (default: all)"
    )
    parser.add_argument("--recipe", metavar="NAME", help="of a release that holds several recipes")
    parser.add_argument("--revision", metavar="TAG", help="tag or branch on the Hub (default: the newest state)")
    parser.add_argument("--data-dir", type=Path, metavar="DIR",
                        help="layouts: where the images lie, if neither in the set nor where they were")  # fmt: skip
    parser.add_argument("--source", metavar="NAME", help="layouts: how --data-dir is read (default: guessed)")
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
    from mbps_dataset.formats.layouts import FORMATS
    from mbps_dataset.formats.opening import open_label_set
    from mbps_dataset.formats.writing import export

    progress = not arguments.quiet
    if arguments.format == "parquet":
        return _import(arguments, progress)
    built = open_label_set(arguments.label_set, recipe=arguments.recipe, revision=arguments.revision)
    chosen = arguments.format or arguments.layout
    result = export(
        built,
        arguments.target,
        chosen,
        splits=arguments.split or (),
        size=arguments.size,
        images=_attached(arguments),
        progress=progress,
    )
    module = FORMATS[chosen]
    images = sum(result.description.splits.values())
    print(f"{images} images exported as {chosen}: {result.target}")
    print(f"held      {module.HELD}\nnot held  {module.NOT_HELD}")
    for note in result.notes:
        print(f"note      {note}")
    print(f"Read it back:  {program()} eval {result.target} --truth TRUTH")
    return 0


def _attached(arguments: argparse.Namespace) -> AttachedImages | None:
    """Where images lie, if that was said. Raises `InputError` for a source without a folder."""
    from mbps_dataset.errors import InputError
    from mbps_dataset.formats.attached_images import AttachedImages

    if arguments.source is not None and arguments.data_dir is None:
        raise InputError("--source says how a folder of images is read; give the folder too, with --data-dir.")
    return None if arguments.data_dir is None else AttachedImages(arguments.data_dir, arguments.source)


def _import(arguments: argparse.Namespace, progress: bool) -> int:
    """An export as a label set again."""
    from mbps_dataset.errors import InputError
    from mbps_dataset.formats.importing import import_labels
    from mbps_dataset.formats.own_exports import find_export

    for option in ("recipe", "revision", "size", "data-dir", "source"):
        if getattr(arguments, option.replace("-", "_")) is not None:
            raise InputError(
                f"--{option} has no meaning for `--format parquet`, which takes an export as it is; leave it out."
            )
    exported = find_export(Path(arguments.label_set))
    if exported is None:
        raise InputError(
            f"{arguments.label_set} is no export; `--format parquet` takes a folder that `mbps export` wrote."
        )
    description = import_labels(exported, arguments.target, splits=arguments.split or (), progress=progress)
    print(f"{sum(description.splits.values())} images imported from {description.format}: {arguments.target}")
    print(f'Load it:  datasets.load_dataset("{arguments.target}")')
    return 0
