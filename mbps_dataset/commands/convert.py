"""`mbps convert`: published checkpoints, once, into folders that `from_pretrained` reads."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from mbps_dataset.commands.calling import program


HELP = "turn published checkpoints into safetensors folders"
EXAMPLE = (
    "mbps convert cause --backbone dinov2_vitb14_pretrain.pth --segment segment_tr.pth --cluster cluster_tr.pth \\\n"
    "      --codebook modular.npy --output weights/cause\n"
    "  mbps convert spidepth --encoder encoder.pth --decoder depth.pth --output weights/spidepth\n"
    "  mbps convert smurf --checkpoint raft_smurf.pt --output weights/smurf\n"
    "  mbps convert depthg --checkpoint depthg.ckpt --output weights/depthg"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    networks = parser.add_subparsers(dest="network", required=True, metavar="cause|spidepth|smurf|depthg")
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
    for parser_of_one in (cause, spidepth, smurf, depthg):
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


_CONVERTERS: dict[str, Callable[[argparse.Namespace], str]] = {
    "cause": _convert_cause,
    "spidepth": _convert_spidepth,
    "smurf": _convert_smurf,
    "depthg": _convert_depthg,
}
"""What each network's conversion does; it returns how the result is used."""
