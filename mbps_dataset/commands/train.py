"""`mbps train`: a panoptic network from a label set; CAUSE, STEGO and SPIdepth from images alone."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from mbps_dataset.commands.calling import program
from mbps_dataset.commands.source_arguments import add_source_arguments, source_options
from mbps_dataset.commands.train_panoptic import add_panoptic_arguments, run_panoptic
from mbps_dataset.errors import InputError


if TYPE_CHECKING:
    import torch

    from mbps_dataset.models.cause import CauseSegmenter
    from mbps_dataset.models.saved_network import HubNetwork
    from mbps_dataset.sources import Source
    from mbps_dataset.training.processes import Processes
    from mbps_dataset.training.views import Pictures

    Trained = tuple[HubNetwork, str, dict[str, Any]]  # the network, what it saw, and the settings

Number = TypeVar("Number", int, float)

_USE = {
    "cause": "--set semantics.weights=",
    "stego": "--set semantics.method=depthg --set semantics.weights=",
    "spidepth": "--set depth.weights=",
}
"""What `mbps build` takes a network with, before its folder."""


HELP = "train a panoptic network on a label set, or CAUSE, STEGO or SPIdepth on images without labels"
EXAMPLE = (
    "mbps train panoptic build/demo --output weights/panoptic --steps 2000 --val build/demo\n"
    "  mbps train panoptic org/mbps-pseudo --revision v1.0.0 --data-dir cityscapes --output weights/panoptic\n"
    "  mbps train stego --start facebook/dino-vitb8 --source folder --data-dir my/photos --output weights/stego\n"
    "  mbps train spidepth --source cityscapes --data-dir cityscapes --output weights/spidepth --steps 50000\n"
    "  mbps train cause --start weights/cause --source cityscapes --data-dir cityscapes --output weights/cause-label-free"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    networks = parser.add_subparsers(dest="network_kind", required=True, metavar="panoptic|cause|stego|spidepth")
    add_panoptic_arguments(networks.add_parser("panoptic", help="a panoptic network, on a label set"))
    cause = networks.add_parser("cause", help="CAUSE's head, codebook and probe, on images")
    stego = networks.add_parser("stego", help="the head and cluster probe of STEGO and DepthG, on images")
    spidepth = networks.add_parser("spidepth", help="SPIdepth, on video")
    for network, units in ((cause, "windows per step; under `accelerate launch` processes share it"),
                           (stego, "windows per step, and as many neighbours"),
                           (spidepth, "triplets per step")):  # fmt: skip
        add_source_arguments(network, default="scenes", truth=False)
        network.add_argument("--split", default="train", help="split to learn from (default: train)")
        network.add_argument("--batch-size", type=int, help=units)
        network.add_argument("--learning-rate", type=float)
        network.add_argument("--seed", type=int, default=0)
        network.add_argument("--device", help="torch device (default: cuda where there is one, else cpu)")
        network.add_argument("--output", type=Path, required=True, metavar="DIR",
                             help="folder for the weights; also holds the checkpoint from which the same command continues")  # fmt: skip
    cause.add_argument("--steps", type=int, help="contrastive steps")
    cause.add_argument("--start", default="builtin", metavar="WEIGHTS",
                       help="folder or Hub id to start from: its sizes and its frozen backbone")  # fmt: skip
    cause.add_argument(
        "--method",
        choices=("contrastive", "whitening"),
        help="train the published way without its labels, or whiten the backbone's tokens in closed form (default: "
        "whitening where --start is a DINOv2 of transformers, such as facebook/dinov2-small, else contrastive)",
    )
    stego.add_argument("--steps", type=int, help="optimiser steps")
    stego.add_argument("--start", required=True, metavar="WEIGHTS",
                       help="folder or Hub id of a DINO of transformers (facebook/dino-vitb8) or of DepthG weights, whose "
                            "frozen backbone is taken")  # fmt: skip
    stego.add_argument("--clusters", type=int, default=27, metavar="K", help="pseudo-classes (default: 27)")
    stego.add_argument("--depth", metavar="WEIGHTS",
                       help="SPIdepth weights, or builtin: add the depth term of DepthG with its depth")  # fmt: skip
    stego.add_argument(
        "--depth-term",
        choices=("published", "similarity"),
        default="published",
        help="published: constant where depth is known, which pulls all codes together; similarity: of inverse depths "
        "(default: published)",
    )
    stego.add_argument("--spread-by-depth", action="store_true",
                       help="choose positions by farthest point sampling in space")  # fmt: skip
    spidepth.add_argument("--steps", type=int, help="optimiser steps")
    spidepth.add_argument("--start", default="builtin", metavar="WEIGHTS", help="folder or Hub id to start from")
    spidepth.add_argument("--fresh", action="store_true", help="keep the sizes of --start, not its weights")


def run(arguments: argparse.Namespace) -> int:
    """Train, save, and say how to use the result."""
    if arguments.network_kind == "panoptic":
        return run_panoptic(arguments)
    from mbps_dataset.hub.builder import default_device
    from mbps_dataset.sources import open_source
    from mbps_dataset.training.processes import Processes

    options = source_options(arguments, arguments.source)
    source = open_source(arguments.source, data_dir=arguments.data_dir, **options)
    processes = Processes.started()
    device = processes.device or arguments.device or default_device()
    checkpoints = arguments.output / "checkpoints"
    train = {"cause": _train_cause, "stego": _train_stego, "spidepth": _train_spidepth}[arguments.network_kind]
    network, seen, settings = train(arguments, source, device, checkpoints, processes)
    if processes.rank > 0:
        return 0
    network.cpu().save_pretrained(arguments.output)
    _state_supervision(arguments.output, seen)
    (arguments.output / "training.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    print(
        f"written: {arguments.output}\nuse it:  {program()} build --recipe demo {_USE[arguments.network_kind]}{arguments.output}"
    )
    return 0


def _train_cause(
    arguments: argparse.Namespace, source: Source, device: torch.device | str, checkpoints: Path, processes: Processes
) -> Trained:
    from mbps_dataset.models.cause import CauseSegmenter
    from mbps_dataset.models.cause.on_backbone import cause_on_backbone
    from mbps_dataset.models.networks import weights_folder
    from mbps_dataset.models.saved_network import read_config
    from mbps_dataset.training.checkpointing import seeded
    from mbps_dataset.training.source_data import SourcePictures

    start = weights_folder("cause", arguments.start)
    whole = "codebook_size" in read_config(start)
    segmenter = CauseSegmenter.from_pretrained(start) if whole else cause_on_backbone(start)
    backbone = segmenter.backbone.state_dict()
    with seeded(arguments.seed):
        segmenter = CauseSegmenter(segmenter.config)  # a fresh head, codebook and probe on the given backbone
    segmenter.backbone.load_state_dict(backbone)
    segmenter.to(device)
    pictures = SourcePictures(source.frames(arguments.split), segmenter.config.crop, segmenter.config.patch_size)
    method = arguments.method or ("contrastive" if whole else "whitening")
    learn = _whiten if method == "whitening" else _contrast
    settings = learn(arguments, segmenter, pictures, checkpoints, processes)
    seen = (
        f"head, codebook and probe: {len(pictures)} images of {source.name} {arguments.split} by {method}, no labels; "
        f"backbone of {arguments.start}{_what_a_backbone_saw(arguments.start, whole)}"
    )
    return segmenter, seen, settings


def _what_a_backbone_saw(start: str, whole: bool) -> str:
    """What is known of a backbone that came without a record."""
    from mbps_dataset.models.dinov2 import LABEL_FREE

    if whole:
        return ""
    return " (self-supervised, DINOv2)" if start.startswith(LABEL_FREE) else " (unknown: its files do not say)"


def _whiten(
    arguments: argparse.Namespace, segmenter: CauseSegmenter, pictures: Pictures, _: Path, processes: Processes
) -> dict[str, Any]:
    from mbps_dataset.errors import RecipeError
    from mbps_dataset.training.token_whitening import WhiteningSettings, whiten_cause

    if processes.count > 1:
        raise RecipeError("Whitening takes seconds in one process; start it without `accelerate launch`.")
    if arguments.steps is not None or arguments.learning_rate is not None:
        raise InputError(
            "--steps and --learning-rate are for --method contrastive; whitening is solved in closed form."
        )
    usual = WhiteningSettings(seed=arguments.seed)
    settings = replace(usual, windows_per_step=_given(arguments.batch_size, usual.windows_per_step))
    whitening = whiten_cause(segmenter, pictures, settings)
    print(
        f"whitened: {segmenter.config.code_dim} of {segmenter.config.hidden_size} directions hold "
        f"{whitening.explained:.0%} of the tokens' variance"
    )
    return asdict(settings)


def _contrast(
    arguments: argparse.Namespace,
    segmenter: CauseSegmenter,
    pictures: Pictures,
    checkpoints: Path,
    processes: Processes,
) -> dict[str, Any]:
    from mbps_dataset.training.cause import CauseTrainingSettings, train_cause

    usual = CauseTrainingSettings(seed=arguments.seed)
    settings = replace(
        usual,
        contrastive_steps=_given(arguments.steps, usual.contrastive_steps),
        windows_per_step=_given(arguments.batch_size, usual.windows_per_step),
        learning_rate=_given(arguments.learning_rate, usual.learning_rate),
    )
    train_cause(segmenter, pictures, settings, checkpoint_folder=checkpoints, processes=processes)
    return asdict(settings)


def _train_stego(
    arguments: argparse.Namespace, source: Source, device: torch.device | str, checkpoints: Path, processes: Processes
) -> Trained:
    from mbps_dataset.errors import RecipeError
    from mbps_dataset.models.depthg import DepthGSegmenter
    from mbps_dataset.models.depthg.on_backbone import LABEL_FREE, depthg_on_backbone
    from mbps_dataset.models.networks import weights_folder
    from mbps_dataset.models.saved_network import read_config
    from mbps_dataset.models.spidepth import SPIdepth
    from mbps_dataset.training.checkpointing import seeded
    from mbps_dataset.training.correspondence import CorrespondenceSettings
    from mbps_dataset.training.source_data import PredictedDepths, SourcePictures
    from mbps_dataset.training.stego import StegoTrainingSettings, train_stego

    if processes.count > 1:
        raise RecipeError("STEGO trains in one process; start it without `accelerate launch`.")
    if arguments.depth is None and (arguments.spread_by_depth or arguments.depth_term != "published"):
        raise InputError("--spread-by-depth and --depth-term need depth; give --depth builtin, or SPIdepth weights.")
    start = weights_folder("depthg", arguments.start)
    with seeded(arguments.seed):
        if "code_dim" in read_config(start):
            given = DepthGSegmenter.from_pretrained(start)
            segmenter = DepthGSegmenter(replace(given.config, clusters=arguments.clusters))
            segmenter.backbone.load_state_dict(given.backbone.state_dict())
        else:
            segmenter = depthg_on_backbone(start, clusters=arguments.clusters)
    patch = segmenter.config.patch_size
    usual = StegoTrainingSettings(seed=arguments.seed, spread_by_depth=arguments.spread_by_depth)
    settings = replace(
        usual,
        steps=_given(arguments.steps, usual.steps),
        windows_per_step=_given(arguments.batch_size, usual.windows_per_step),
        learning_rate=_given(arguments.learning_rate, usual.learning_rate),
        window_px=usual.window_px // patch * patch,
    )
    pictures = SourcePictures(source.frames(arguments.split), settings.window_px, patch)
    depths = None
    if arguments.depth is not None:
        depths = PredictedDepths(
            pictures, SPIdepth.from_pretrained(weights_folder("spidepth", arguments.depth)).to(device)
        )
    losses = CorrespondenceSettings(depth=arguments.depth_term)
    checkpoints.mkdir(parents=True, exist_ok=True)
    train_stego(
        segmenter.to(device), pictures, settings, losses, depths=depths, checkpoint_path=checkpoints / "stego.pt"
    )
    backbone = "self-supervised, DINO" if arguments.start.startswith(LABEL_FREE) else "see its own record"
    depth_saw = (
        "" if depths is None else f", depth by SPIdepth of {arguments.depth} ({depths.network.config.supervision})"
    )
    seen = (
        f"head and probe: correspondences of features in {len(pictures)} images of {source.name} {arguments.split}"
        f"{depth_saw}, no labels; backbone of {arguments.start} ({backbone})"
    )
    return segmenter, seen, asdict(settings) | {"losses": asdict(losses)}


def _train_spidepth(
    arguments: argparse.Namespace, source: Source, device: torch.device | str, checkpoints: Path, processes: Processes
) -> Trained:
    import torch

    from mbps_dataset.errors import RecipeError
    from mbps_dataset.models.networks import weights_folder
    from mbps_dataset.models.spidepth import SPIdepth
    from mbps_dataset.models.spidepth.pose import PoseConfig, PoseNetwork
    from mbps_dataset.training.source_data import SourceTriplets
    from mbps_dataset.training.spidepth import SPIdepthTrainingSettings, train_spidepth

    if processes.count > 1:
        raise RecipeError("SPIdepth trains in one process; start it without `accelerate launch`.")
    torch.manual_seed(arguments.seed)
    depth = SPIdepth.from_pretrained(weights_folder("spidepth", arguments.start))
    if arguments.fresh:
        depth = SPIdepth(depth.config)
    pose = PoseNetwork(PoseConfig())
    triplets = SourceTriplets(source, arguments.split, depth.config.height, depth.config.width)
    usual = SPIdepthTrainingSettings(seed=arguments.seed)
    settings = replace(
        usual,
        steps=_given(arguments.steps, usual.steps),
        batch_size=_given(arguments.batch_size, usual.batch_size),
        learning_rate=_given(arguments.learning_rate, usual.learning_rate),
    )
    checkpoints.mkdir(parents=True, exist_ok=True)
    train_spidepth(depth.to(device).requires_grad_(True).train(), pose.to(device), triplets, settings,
                   checkpoint_path=checkpoints / "spidepth.pt")  # fmt: skip
    start = "fresh weights" if arguments.fresh else f"started from {arguments.start}"
    seen = f"photometric consistency of {len(triplets)} video triplets of {source.name} {arguments.split}, no depth maps; {start}"
    return depth.eval(), seen, asdict(settings)


def _given(value: Number | None, usual: Number) -> Number:
    return usual if value is None else value


def _state_supervision(output: Path, seen: str) -> None:
    """Write what the weights saw into their ``config.json``, from where it travels into every label set."""
    path = output / "config.json"
    config = json.loads(path.read_text(encoding="utf-8")) | {"supervision": seen}
    path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
