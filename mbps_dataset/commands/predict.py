"""`mbps predict`: a panoptic network and images in, a label set out."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mbps_dataset.commands.build import positive, report
from mbps_dataset.commands.train_panoptic import assigned
from mbps_dataset.errors import InputError


HELP = "label images with a panoptic network: a label set like any other"
EXAMPLE = "mbps predict --weights weights/panoptic --data-dir photos --output build/predicted"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--weights", required=True, metavar="WEIGHTS",
                        help="folder or Hub id of a panoptic network, as `mbps train panoptic` writes it")  # fmt: skip
    parser.add_argument("--source", choices=("scenes", "cityscapes", "folder", "kitti", "stereo"),
                        help="default: guessed from --data-dir")  # fmt: skip
    parser.add_argument("--data-dir", metavar="DIR", help="Cityscapes tree, folder of photographs, or one image")
    parser.add_argument("--truth-dir", metavar="DIR", help="folder source only: label maps for scoring")
    parser.add_argument(
        "--split", action="append", metavar="NAME", help="split to label; may be repeated (default: all)"
    )
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N images of each split")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR",
                        help="folder to write; the same command continues")  # fmt: skip
    parser.add_argument("--name", default="predicted", help="how the set is called where a recipe's name stands "
                        "(default: predicted); sets of one release need different ones")  # fmt: skip
    parser.add_argument("--set", action="append", default=[], metavar="SETTING=VALUE", dest="network_settings",
                        help="another setting of the network, such as score_threshold=0.3 of the dense one")  # fmt: skip
    parser.add_argument("--without-images", action="store_true", help="leave the `image` column out")
    parser.add_argument(
        "--workers", type=positive, metavar="N", help="images at a time (default: one per core; one on a GPU)"
    )
    parser.add_argument("--device", help="torch device (default: cuda where there is one, else cpu)")
    parser.add_argument("--overwrite", action="store_true", help="replace another label set in --output")


def run(arguments: argparse.Namespace) -> int:
    """Label the images and say where the set is."""
    from mbps_dataset.hub.builder import default_device
    from mbps_dataset.labelset.prediction import Prediction, predict_label_set
    from mbps_dataset.models.panoptic.loading import load_panoptic, panoptic_digest
    from mbps_dataset.models.panoptic.record import NO_RECORD
    from mbps_dataset.models.panoptic.starting import changed_panoptic, configuration_of
    from mbps_dataset.sources import open_source, source_of_folder

    if arguments.source is None and arguments.data_dir is None:
        raise InputError("Give the images to label: --data-dir FOLDER, or --source scenes for rendered ones.")
    source = open_source(
        arguments.source or source_of_folder(arguments.data_dir),
        data_dir=arguments.data_dir,
        truth_dir=arguments.truth_dir,
    )
    network = load_panoptic(arguments.weights)
    changed = assigned(arguments.network_settings, configuration_of(network.config.network), "")
    network = (changed_panoptic(network, changed) if changed else network).to(arguments.device or default_device())
    prediction = Prediction(
        network, arguments.weights, panoptic_digest(arguments.weights), source, tuple(arguments.split or ()),
        arguments.limit, not arguments.without_images, arguments.name, changed,
    )  # fmt: skip
    if source.name == "cityscapes" and prediction.with_images:
        print(f"{arguments.output} will hold the original Cityscapes frames, which may not be passed on; "
              "--without-images leaves them out.", file=sys.stderr)  # fmt: skip
    if NO_RECORD in network.ground_truth_used:
        print(f"{arguments.weights} has no record of what it learned from; its labels are not called label-free.",
              file=sys.stderr)  # fmt: skip
    done = predict_label_set(
        prediction, arguments.output, workers=arguments.workers, overwrite=arguments.overwrite,
        progress=not arguments.quiet,
    )  # fmt: skip
    return report(done, arguments.name)
