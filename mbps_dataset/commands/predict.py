"""`mbps predict`: a panoptic network and images in, a label set, or a detector's masks, out."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mbps_dataset.commands.build import positive, report
from mbps_dataset.commands.calling import program
from mbps_dataset.commands.source_arguments import add_source_arguments, source_options
from mbps_dataset.commands.train_panoptic import assigned
from mbps_dataset.errors import InputError


if TYPE_CHECKING:
    from mbps_dataset.labelset.prediction import Prediction

HELP = "label images with a panoptic network: a label set like any other"
EXAMPLE = (
    "mbps predict --weights builtin --source scenes --output build/demo-predicted\n"
    "  mbps predict --weights weights/panoptic --data-dir photos --output build/predicted\n"
    "  mbps predict --weights weights/cutler --data-dir photos --detections cutler.json --short-side 800 1024"
)
DEFAULT_NAME = "predicted"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--weights", required=True, metavar="WEIGHTS",
                        help="folder or Hub id of a panoptic network, as `mbps train panoptic` or `mbps convert` writes it; "
                             "builtin: the demo's, which learned from rendered stereo video alone")  # fmt: skip
    add_source_arguments(parser)
    parser.add_argument(
        "--split", action="append", metavar="NAME", help="split to label; may be repeated (default: all)"
    )
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N images of each split")
    written = parser.add_mutually_exclusive_group(required=True)
    written.add_argument("--output", type=Path, metavar="DIR", help="folder to write; the same command continues")
    written.add_argument("--detections", type=Path, metavar="FILE",
                         help="write what a cascade (CutLER, CuVLER …) detects, as COCO .json for detections.files, in place of "
                              "a label set; the same command continues")  # fmt: skip
    parser.add_argument("--short-side", nargs="+", default=[], metavar="PX",
                        help="with --detections: look at images in this size, of several join what is found (mask IoU 0.3); "
                             "800x1333 bounds the long side (default: as published)")  # fmt: skip
    parser.add_argument("--name", default=DEFAULT_NAME, help="how the set is called where a recipe's name stands "
                        "(default: predicted); sets of one release need different ones")  # fmt: skip
    parser.add_argument("--set", action="append", default=[], metavar="SETTING=VALUE", dest="network_settings",
                        help="another setting of the network, such as score_threshold=0.3 of the dense one")  # fmt: skip
    parser.add_argument("--without-images", action="store_true", help="leave the `image` column out")
    parser.add_argument(
        "--workers", type=positive, metavar="N", help="images at a time (default: one per core; one on a GPU)"
    )
    parser.add_argument("--device", help="torch device (default: cuda where there is one, else cpu)")
    parser.add_argument("--overwrite", action="store_true", help="replace what is there")


def run(arguments: argparse.Namespace) -> int:
    """Label the images, or write what is detected in them, and say where it is."""
    from mbps_dataset.labelset.prediction import predict_label_set
    from mbps_dataset.models.panoptic.record import NO_RECORD

    _require_that_all_is_used(arguments)
    prediction = _prediction(arguments)
    if NO_RECORD in prediction.truth_used:
        print(f"{arguments.weights} has no record of what it learned from; its labels are not called label-free.",
              file=sys.stderr)  # fmt: skip
    if arguments.detections is not None:
        return _detect(arguments, prediction)
    if prediction.source.name == "cityscapes" and prediction.with_images:
        print(f"{arguments.output} will hold the original Cityscapes frames, which may not be passed on; "
              "--without-images leaves them out.", file=sys.stderr)  # fmt: skip
    done = predict_label_set(
        prediction, arguments.output, workers=arguments.workers, overwrite=arguments.overwrite,
        progress=not arguments.quiet,
    )  # fmt: skip
    return report(done, arguments.name)


def _require_that_all_is_used(arguments: argparse.Namespace) -> None:
    """Raises `InputError` for an argument that another one, or its absence, leaves without effect."""
    if arguments.short_side and arguments.detections is None:
        raise InputError("--short-side is about --detections; for a label set give --set short_side=PX.")
    if arguments.detections is not None and (arguments.without_images or arguments.name != DEFAULT_NAME):
        raise InputError("--name and --without-images are about a label set; leave them out with --detections.")


def _prediction(arguments: argparse.Namespace) -> Prediction:
    from mbps_dataset.hub.builder import default_device
    from mbps_dataset.labelset.prediction import Prediction
    from mbps_dataset.models.panoptic.loading import load_panoptic, panoptic_digest
    from mbps_dataset.models.panoptic.starting import changed_panoptic, configuration_of
    from mbps_dataset.sources import open_source, source_of_folder

    if arguments.source is None and arguments.data_dir is None:
        raise InputError("Give the images to label: --data-dir FOLDER, or --source scenes for rendered ones.")
    name = arguments.source or source_of_folder(arguments.data_dir)
    source = open_source(name, data_dir=arguments.data_dir, **source_options(arguments, name))
    network = load_panoptic(arguments.weights)
    changed = assigned(arguments.network_settings, configuration_of(network.config.network), "")
    network = (changed_panoptic(network, changed) if changed else network).to(arguments.device or default_device())
    return Prediction(
        network, arguments.weights, panoptic_digest(arguments.weights), source, tuple(arguments.split or ()),
        arguments.limit, not arguments.without_images, arguments.name, changed,
    )  # fmt: skip


def _detect(arguments: argparse.Namespace, prediction: Prediction) -> int:
    """Write the file; the exit status is 3 if images failed."""
    from mbps_dataset.labelset.detection_file import Detecting, write_detections

    detecting = Detecting(prediction, tuple(arguments.short_side))
    done = write_detections(
        detecting, arguments.detections, workers=arguments.workers, overwrite=arguments.overwrite,
        progress=not arguments.quiet,
    )  # fmt: skip
    scales = ", ".join(str(scale) for scale in detecting.scales)
    print(
        f"{done.detections} detections in {done.images} {'image' if done.images == 1 else 'images'}, looked at in {scales}: {arguments.detections}"
    )
    for failure in done.failures:
        print(f"  left out: {failure.reason}", file=sys.stderr)
    print(
        f"use it:     {program()} build --set instances.method=detections --set detections.files={arguments.detections} …"
    )
    return 3 if done.failures else 0
