"""`mbps calibrate`: the numbers over a whole set, before anything is labelled."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from mbps_dataset.commands.build import add_label_set_arguments, open_label_set, positive
from mbps_dataset.commands.calling import program
from mbps_dataset.commands.evaluate import ids
from mbps_dataset.errors import InputError


if TYPE_CHECKING:
    from collections.abc import Sequence

    from mbps_dataset.labelling.calibration import Calibration, ClassStatistics
    from mbps_dataset.labelling.labelling import Labelling


HELP = "decide things, names and centroids over the images of a source, and say why; `mbps build` goes on from there"
EXAMPLE = "mbps calibrate --recipe demo --output build/demo\n  mbps build --recipe demo --output build/demo"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_label_set_arguments(parser)
    parser.add_argument(
        "--workers", type=positive, metavar="N", help="processes (default: one per core; one on a GPU)"
    )
    parser.add_argument("--device", help="torch device (default: cuda where there is one, else cpu)")
    parser.add_argument("--counts", type=ids, metavar="K,K,…", default=(),
                        help="only print how stable so many clusters are when fitted on other images, and which to take; no labels")  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Take the calibration into the store of the output folder and print it."""
    from mbps_dataset.labelling.workers import default_workers
    from mbps_dataset.labelset.order import claim

    label_set, output = open_label_set(arguments)
    if arguments.counts:
        print("\n".join(_stability(label_set, arguments.counts)))
        return 0
    claim(output, label_set, None, overwrite=False)
    calibration = label_set.calibration(
        worker_count=arguments.workers or default_workers(label_set.device),
        progress=not arguments.quiet,
        isolate=False,
    )
    print("\n".join(describe(calibration)))
    print(f"Calibrated: {output}\nLabel it:   the same arguments to `{program()} build`")
    return 0


def _stability(label_set: Labelling, counts: Sequence[int]) -> list[str]:
    """Agreement of clusters fitted on other halves of the images, a line for each number of them."""
    from mbps_dataset.labelling.whole_set import cluster_stability
    from mbps_dataset.stages.cluster_stability import NEAR_BEST, proposed

    if min(counts) < 2:
        raise InputError(f"--counts must be of at least 2 clusters, but holds {min(counts)}.")
    found = cluster_stability(label_set.run, label_set.calibration_frames(), counts)
    return [
        "Agreement of clusters fitted on two halves of the images (1: the same groups, 0: by chance):",
        *(f"  {count:5d}  {agreement:.3f}" for count, agreement in found.items()),
        f"The largest number within {NEAR_BEST:g} of the best: --set clusters.count={proposed(found)}",
    ]


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
