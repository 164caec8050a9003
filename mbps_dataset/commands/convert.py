"""`mbps convert`: published checkpoints, once, into folders that `from_pretrained` reads."""

from __future__ import annotations

import argparse
from pathlib import Path


HELP = "turn published checkpoints into safetensors folders"
EXAMPLE = (
    "mbps convert cause --backbone dinov2_vitb14_pretrain.pth --segment segment_tr.pth --cluster cluster_tr.pth \\\n"
    "      --codebook modular.npy --output weights/cause\n"
    "  mbps convert spidepth --encoder encoder.pth --decoder depth.pth --output weights/spidepth"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    networks = parser.add_subparsers(dest="network", required=True, metavar="cause|spidepth")
    cause = networks.add_parser("cause", help="CAUSE-TR on DINOv2")
    cause.add_argument("--backbone", type=Path, required=True, help="DINOv2 backbone, .pth")
    cause.add_argument("--segment", type=Path, required=True, help="segment_tr.pth")
    cause.add_argument("--cluster", type=Path, required=True, help="cluster_tr.pth")
    cause.add_argument("--codebook", type=Path, required=True, help="modular.npy")
    spidepth = networks.add_parser("spidepth", help="SPIdepth")
    spidepth.add_argument("--encoder", type=Path, required=True, help="encoder.pth (U-Net and ConvNeXtV2)")
    spidepth.add_argument("--decoder", type=Path, required=True, help="depth.pth (query decoder)")
    for parser_of_one in (cause, spidepth):
        parser_of_one.add_argument("--output", type=Path, required=True, help="folder to write")


def run(arguments: argparse.Namespace) -> int:
    """Convert and say how to use the result."""
    if arguments.network == "cause":
        from mbps_dataset.models.cause.convert import convert_cause

        done = convert_cause(
            backbone=arguments.backbone,
            segment=arguments.segment,
            cluster=arguments.cluster,
            codebook=arguments.codebook,
            output=arguments.output,
        )
        print(f"label leak: {done.leak}")
        setting = "semantics.weights"
    else:
        from mbps_dataset.models.spidepth.convert import convert_spidepth

        convert_spidepth(encoder=arguments.encoder, decoder=arguments.decoder, output=arguments.output)
        setting = "depth.weights"
    print(f"written: {arguments.output}\nuse it:  mbps build --recipe mbps --set {setting}={arguments.output} …")
    return 0
