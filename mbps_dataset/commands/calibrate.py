"""`mbps calibrate`: the numbers over a whole set, before anything is labelled."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from mbps_dataset.commands.build import add_label_set_arguments, open_label_set, positive
from mbps_dataset.commands.calling import program


if TYPE_CHECKING:
    from mbps_dataset.labelling.calibration import Calibration, ClassStatistics


HELP = "decide things, names and centroids over the images of a source, and say why; `mbps build` goes on from there"
EXAMPLE = "mbps calibrate --recipe demo --output build/demo\n  mbps build --recipe demo --output build/demo"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_label_set_arguments(parser)
    parser.add_argument(
        "--workers", type=positive, metavar="N", help="processes (default: one per core; one on a GPU)"
    )
    parser.add_argument("--device", help="torch device (default: cuda where there is one, else cpu)")


def run(arguments: argparse.Namespace) -> int:
    """Take the calibration into the store of the output folder and print it."""
    from mbps_dataset.labelling.workers import default_workers
    from mbps_dataset.labelset.order import claim

    label_set, output = open_label_set(arguments)
    claim(output, label_set, None, overwrite=False)
    calibration = label_set.calibration(
        worker_count=arguments.workers or default_workers(label_set.device),
        progress=not arguments.quiet,
        isolate=False,
    )
    print("\n".join(describe(calibration)))
    print(f"Calibrated: {output}\nLabel it:   the same arguments to `{program()} build`")
    return 0


def describe(calibration: Calibration) -> list[str]:
    """Lines of text: one per class with what was measured, and what the calibration took from ground truth."""
    truth = ", ".join(calibration.truth_used) or "nothing"
    lines = [f"{len(calibration.things)} things, by {calibration.images} images; from ground truth: {truth}"]
    lines += calibration.notes
    width = max(len(each.name) for each in calibration.classes)
    return lines + [f"  {each.name:<{width}}  {_of_class(each)}" for each in calibration.classes]


def _of_class(statistics: ClassStatistics) -> str:
    kind = "thing" if statistics.isthing else "stuff"
    return f"{kind}  {statistics.reason}".rstrip()
