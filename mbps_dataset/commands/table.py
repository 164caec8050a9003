"""`mbps table`: a table of a paper that takes trainings to fill, with the paper's numbers beside ours."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mbps_dataset.commands.build import positive
from mbps_dataset.commands.train_panoptic import (
    add_images_arguments,
    add_training_arguments,
    learned_set,
    measured_set,
    require_use_of_backbone,
    settings_of,
)
from mbps_dataset.errors import InputError


if TYPE_CHECKING:
    from mbps_dataset.formats.training_set import TrainingSet
    from mbps_dataset.scoring.while_training import AgainstTruth

HELP = "train a network for each row of a paper's table, and measure them on images with ground truth"
EXAMPLE = "mbps table 7 build/demo-motion --val build/demo --steps 400 --output build/table-7"
RESAMPLES = 1000
"""Times that the images are drawn again for the intervals."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("table", choices=("7",), metavar="TABLE", help="7: what each component of CUPS' training adds")
    parser.add_argument("label_set", metavar="SET", help="label set to learn from, as for mbps train panoptic")
    parser.add_argument(
        "--val",
        required=True,
        metavar="SET",
        help="set whose images are measured on: their source has ground truth, its labels play no part",
    )
    parser.add_argument("--val-limit", type=positive, metavar="N", help="only N of those images, evenly spaced")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR",
                        help="folder for tables, weights and logs of each row; the same command continues")  # fmt: skip
    add_images_arguments(parser)
    add_training_arguments(parser)
    parser.set_defaults(start=None)  # every row begins as its network does


def run(arguments: argparse.Namespace) -> int:
    """Train, measure, print and save."""
    from mbps_dataset.ablation.rendering import as_document, as_markdown
    from mbps_dataset.ablation.training_rows import training_rows
    from mbps_dataset.ablation.training_run import run_training_table
    from mbps_dataset.hub.builder import default_device
    from mbps_dataset.store import write_atomically

    require_use_of_backbone(arguments)
    if network := [each for each in arguments.training_settings if each.startswith("network.")]:
        raise InputError(f"--set {network[0]}: rows decide about the network; leave it out.")
    settings, labelled = settings_of(arguments), learned_set(arguments)
    truth = _truth(arguments, labelled)
    rows = training_rows(arguments.network, settings)
    table, results = run_training_table(
        labelled, truth.scores, arguments.network, rows, arguments.output, backbone=arguments.backbone,
        device=arguments.device or default_device(), resamples=RESAMPLES, show_progress=not arguments.quiet,
        tell=lambda text: None if arguments.quiet else print(text),
    )  # fmt: skip
    tables, about = [(table, results)], _about(arguments, labelled, truth, [asdict(row.settings) for row in rows])
    text = as_markdown(_head(arguments, labelled, truth, settings.steps, settings.batch_size), tables)
    written = arguments.output / "table.md", arguments.output / "table.json"
    write_atomically(written[0], text.encode())
    write_atomically(written[1], (json.dumps(as_document(about, tables), indent=2) + "\n").encode())
    print(text)
    print(f"written: {written[0]}, {written[1]}")
    return 0


def _truth(arguments: argparse.Namespace, labelled: TrainingSet) -> AgainstTruth:
    """Ground truth of the images of --val, whose labels play no part. Raises `InputError` if an image has none."""
    from mbps_dataset.scoring.while_training import AgainstTruth

    measured, open_truth = measured_set(arguments)
    seen = replace(labelled, name=measured.name, samples=measured.samples)
    return AgainstTruth.of(seen, open_truth(), arguments.val_limit or len(measured.samples))


def _about(
    arguments: argparse.Namespace, labelled: TrainingSet, truth: AgainstTruth, settings: list[dict[str, Any]]
) -> dict[str, Any]:
    from mbps_dataset._version import __version__

    return {
        "package": __version__,
        "set": labelled.name,
        "rows": labelled.made_by.rows,
        "measured_on": truth.labelled.name,
        "images": len(truth.truth),
        "network": arguments.network,
        "resamples": RESAMPLES,
        "settings": settings,
    }


def _head(
    arguments: argparse.Namespace, labelled: TrainingSet, truth: AgainstTruth, steps: int, batch_size: int
) -> tuple[str, ...]:
    named = (
        "classes have names"
        if labelled.made_by.named
        else "unnamed clusters named by the Hungarian method, in every row anew"
    )
    return (
        f"Network `{arguments.network}`, {steps} steps of {batch_size} images from {len(labelled.samples)} of "
        f"`{labelled.name}`, seed {arguments.seed}; measured on {len(truth.truth)} images of `{truth.labelled.name}`.",
        f"Percentages over the 19 Cityscapes classes, convention `coco`; {named}, for scoring only.",
        "Things found: share of true things that one predicted thing, of whatever class, meets with IoU above 0.5; false: all "
        "others that were predicted.",
        f"In brackets: 95 % of the changes against the first row, of {RESAMPLES} draws of as many images among these, the same "
        "for both rows. Chance of the training (its seed) is not in them.",
        "“In the paper”: CUPS (Hahn et al., CVPR 2025), Table 7c, Cityscapes val; compare how rows differ, not their level.",
    )
