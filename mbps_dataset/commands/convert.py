"""`mbps convert`: published checkpoints, once, into folders that `from_pretrained` reads."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from mbps_dataset.commands.calling import program


if TYPE_CHECKING:
    from mbps_dataset.models.cascade.reference import Published


HELP = "turn published checkpoints into safetensors folders"
EXAMPLE = (
    "mbps convert cause --backbone dinov2_vitb14_pretrain.pth --segment segment_tr.pth --cluster cluster_tr.pth \\\n"
    "      --codebook modular.npy --output weights/cause\n"
    "  mbps convert spidepth --encoder encoder.pth --decoder depth.pth --output weights/spidepth\n"
    "  mbps convert smurf --checkpoint raft_smurf.pt --output weights/smurf\n"
    "  mbps convert depthg --checkpoint depthg.ckpt --output weights/depthg\n"
    "  mbps convert cups --checkpoint cups.ckpt --output weights/cups"
)


_OF_DETECTRON2 = {
    "u2seg": "U2Seg's panoptic network",
    "cutler": "CutLER's class-agnostic detector",
    "cuvler": "CuVLER's class-agnostic detector",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    networks = parser.add_subparsers(dest="network", required=True, metavar="|".join(_CONVERTERS))
    cause = networks.add_parser("cause", help="CAUSE-TR on DINOv2")
    cause.add_argument("--backbone", type=Path, required=True, help="DINOv2 backbone, .pth")
    cause.add_argument("--segment", type=Path, required=True, help="segment_tr.pth")
    cause.add_argument("--cluster", type=Path, required=True, help="cluster_tr.pth")
    cause.add_argument("--codebook", type=Path, required=True, help="modular.npy")
    spidepth = networks.add_parser("spidepth", help="SPIdepth")
    spidepth.add_argument("--encoder", type=Path, required=True, help="encoder.pth (U-Net and ConvNeXtV2)")
    spidepth.add_argument("--decoder", type=Path, required=True, help="depth.pth (query decoder)")
    smurf = networks.add_parser("smurf", help="optical flow: SMURF's RAFT, or torchvision's RAFT-large")
    smurf.add_argument(
        "--checkpoint", type=Path, required=True, help="raft_smurf.pt (or a raft_large file of torchvision)"
    )
    depthg = networks.add_parser("depthg", help="DepthG or STEGO on DINO")
    depthg.add_argument("--checkpoint", type=Path, required=True, help="Lightning checkpoint, .ckpt")
    depthg.add_argument(
        "--backbone",
        help="DINO, where the checkpoint holds the head alone: DINO's .pth, or a folder or Hub id (facebook/dino-vitb8)",
    )
    cups = networks.add_parser("cups", help="CUPS' panoptic network")
    cups.add_argument("--checkpoint", type=Path, required=True, help="cups.ckpt (Lightning)")
    cups.add_argument(
        "--teacher", action="store_true", help="take the averaged teacher, which files of stage 3 hold too"
    )
    u2seg, cutler, cuvler = (networks.add_parser(name, help=what) for name, what in _OF_DETECTRON2.items())
    for parser_of_one, file in (
        (u2seg, "cocotrain_800_0089999.pth, or that of 300 clusters"),
        (cutler, "cutler_cascade_final.pth"),
        (cuvler, "model_cuvler_zero_shot.pth, or one of its self-training"),
    ):
        parser_of_one.add_argument("--checkpoint", type=Path, required=True, help=file)
    for parser_of_one in (cause, spidepth, smurf, depthg, cups, u2seg, cutler, cuvler):
        parser_of_one.add_argument("--output", type=Path, required=True, help="folder to write")


def run(arguments: argparse.Namespace) -> int:
    """Convert and say how to use the result."""
    use = _CONVERTERS[arguments.network](arguments)
    print(f"written: {arguments.output}\nuse it:  {use}")
    return 0


def _convert_cause(arguments: argparse.Namespace) -> str:
    from mbps_dataset.models.cause.convert import convert_cause
    from mbps_dataset.models.cause.label_leak import label_leak_report

    done = convert_cause(
        backbone=arguments.backbone,
        segment=arguments.segment,
        cluster=arguments.cluster,
        codebook=arguments.codebook,
        output=arguments.output,
    )
    print(f"label leak: {label_leak_report(done.network)}")
    return f"{program()} build --recipe mbps --set semantics.weights={arguments.output} …"


def _convert_spidepth(arguments: argparse.Namespace) -> str:
    from mbps_dataset.models.spidepth.convert import convert_spidepth

    convert_spidepth(encoder=arguments.encoder, decoder=arguments.decoder, output=arguments.output)
    return f"{program()} build --recipe mbps --set depth.weights={arguments.output} …"


def _convert_smurf(arguments: argparse.Namespace) -> str:
    from mbps_dataset.models.raft.convert import convert_raft

    done = convert_raft(checkpoint=arguments.checkpoint, output=arguments.output)
    print(f"supervision: {done.network.supervision}")
    return f"{program()} build --recipe motion --set flow.method=raft --set flow.weights={arguments.output} …"


def _convert_depthg(arguments: argparse.Namespace) -> str:
    from mbps_dataset.models.depthg.convert import convert_depthg

    done = convert_depthg(checkpoint=arguments.checkpoint, backbone=arguments.backbone, output=arguments.output)
    print(f"supervision: {done.network.supervision}")
    return f"{program()} build --recipe cups --set semantics.weights={arguments.output} --set flow.weights=… …"


def _convert_cascade(arguments: argparse.Namespace) -> str:
    from mbps_dataset.models.cascade.convert import convert_cascade

    system: Published = "cups-teacher" if getattr(arguments, "teacher", False) else arguments.network
    done = convert_cascade(system=system, checkpoint=arguments.checkpoint, output=arguments.output)
    config = done.network.config
    print(f"classes: {len(config.stuff_ids)} of stuff, {len(config.thing_ids)} of things")
    print(f"supervision: {config.supervision}\nlicence: {config.licence}")
    written = "--output …" if config.stuff_ids else "--detections ….json"
    return f"{program()} predict --weights {arguments.output} --data-dir … {written}"


_CONVERTERS: dict[str, Callable[[argparse.Namespace], str]] = {
    "cause": _convert_cause,
    "spidepth": _convert_spidepth,
    "smurf": _convert_smurf,
    "depthg": _convert_depthg,
    "cups": _convert_cascade,
    "u2seg": _convert_cascade,
    "cutler": _convert_cascade,
    "cuvler": _convert_cascade,
}
"""What each network's conversion does; it returns how the result is used."""
