"""Train the depth network of the `demo` recipe: rendered street video in, photometric consistency as the teacher.

    python builder_scripts/train_demo_depth.py --output mbps_dataset/weights/spidepth

1. Renders triplets of frames (-1, 0, +1) of training scenes, shrinks them to the network's size and keeps them in
   ``--work``. Depth, label and instance maps that the renderer also returns are dropped on the spot: what is kept, and
   what the trainer accepts, has room for frames and intrinsics only.
2. Trains depth and pose network together at 128 x 256, coarse to fine, saving to ``--work`` every few minutes. Killed?
   Run the same line again; the result is the same.
3. Trains them on at 256 x 512, where object borders become sharper, in rounds whose learning rate starts anew. The
   tensors are the same; only the patches of the query transformer are stretched, so that it goes on seeing 4 x 8. The
   last round also pulls plain surfaces above the horizon away, lest the sky hang before the houses.
4. Writes ``config.json`` and ``model.safetensors`` (half precision) with what they were trained on. The pose network
   has done its work and is not kept.

About three and a half hours on one core, a little over two on two (`--threads 2`). `measure_demo_depth.py` says how
good the result is.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from mbps_dataset.models.saved_network import WEIGHTS_FILE, write_tensors
from mbps_dataset.models.spidepth import SPIdepth, SPIdepthConfig
from mbps_dataset.models.spidepth.pose import TINY_POSE, PoseNetwork
from mbps_dataset.scenes import APPEARANCE_VERSION, SceneSettings, render_triplet
from mbps_dataset.sources.rendered import TRAINING_SEEDS
from mbps_dataset.store import replacing, write_json
from mbps_dataset.training.spidepth import SPIdepthTrainingSettings, train_spidepth
from mbps_dataset.training.triplets import Triplets, VideoTriplet


RENDERED = SceneSettings(height=512, width=1024)  # the size the demo's pictures have
NETWORK = SPIdepthConfig(
    encoder_channels=(24, 48, 96, 128),
    encoder_depths=(2, 2, 2, 2),
    decoder_channels=(64, 48, 24, 16),
    model_dim=16,
    embedding_dim=24,
    patch_size=16,
    queries=24,
    bins=32,
    layers=2,
    feedforward=96,
    positions=64,
    min_depth=0.01,
    max_depth=3.0,  # the scale of depth is free; here frames 1 m apart are moves that the pose network makes easily
    height=128,
    width=256,
)
FINE = replace(NETWORK, height=2 * NETWORK.height, width=2 * NETWORK.width, patch_size=2 * NETWORK.patch_size)
BIN_GROWTH = 1.2  # ratio of neighbouring bin widths at the start
START_DEPTH, START_SPREAD = 0.3, 0.8  # median, and standard deviation of the logarithm
FAR_SKY = 0.1  # weight of the sky's nearness in the last round
FORWARD = 0.006  # the camera starts out driving forward by so much per frame, in units of the mean depth


class RenderedVideo(Triplets):
    """Triplets of training scenes at ``height`` x ``width``, rendered once and then read from ``folder``."""

    def __init__(self, folder: Path, count: int, height: int, width: int) -> None:
        if count > len(TRAINING_SEEDS):
            raise ValueError(f"Expected at most {len(TRAINING_SEEDS)} training scenes, but got {count}.")
        self.folder, self.count, self.size = folder, count, (height, width)
        folder.mkdir(parents=True, exist_ok=True)

    def __len__(self) -> int:
        return self.count

    def triplet(self, index: int) -> VideoTriplet:
        """The triplet of one scene, rendered if it is not in the folder."""
        path = self.folder / f"{TRAINING_SEEDS[index]:07d}.npz"
        if not path.exists():
            self._render(TRAINING_SEEDS[index], path)
        with np.load(path) as stored:
            return VideoTriplet(*stored["frames"], stored["intrinsics"])

    def _render(self, seed: int, path: Path) -> None:
        views = render_triplet(seed, RENDERED)
        triplet = VideoTriplet(*(view.image for view in views), views[1].intrinsics.matrix())
        triplet = triplet.resized(*self.size)
        frames = np.stack([triplet.previous, triplet.current, triplet.next])
        with replacing(path) as unfinished, unfinished.open("wb") as file:
            np.savez(file, frames=frames, intrinsics=triplet.intrinsics)


def new_network(seed: int) -> tuple[SPIdepth, PoseNetwork]:
    """Untrained networks that start from sensible numbers instead of extreme ones.

    Bins start narrow near the camera and wide far away; every pixel starts with a log-normal distribution over them,
    so that a pixel becomes nearer or farther by an equal factor for an equal step; the camera starts driving forward.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        depth, pose = SPIdepth(NETWORK), PoseNetwork(TINY_POSE)
    widths = 0.15 * BIN_GROWTH ** torch.arange(NETWORK.bins)
    edges = depth.decoder.bin_edges((widths / widths.sum())[None])[0]
    centres = (edges[:-1] + edges[1:]) / 2
    log_density = -(((centres / START_DEPTH).log() / START_SPREAD) ** 2) / 2
    with torch.no_grad():
        depth.decoder.bins_regressor[-1].bias.copy_(widths - 0.1)  # the network adds 0.1 to every width
        depth.decoder.convert_to_prob[0].bias.copy_(log_density + (edges.diff() / centres).log())
        pose.decoder[-1].bias[5] = -FORWARD / 0.01  # the network multiplies its output by 0.01
    return depth, pose


def stretched(network: SPIdepth) -> SPIdepth:
    """The network for pictures of twice the size: patches of the query transformer twice as wide, all else equal."""
    fine, tensors = SPIdepth(FINE), network.state_dict()
    name = "decoder.embedding_convPxP.weight"
    tensors[name] = tensors[name].repeat_interleave(2, dim=2).repeat_interleave(2, dim=3) / 4
    fine.load_state_dict(tensors)
    return fine


def write_weights(network: SPIdepth, output: Path, *, supervision: str) -> None:
    """``config.json`` and ``model.safetensors`` in half precision; read back as single precision."""
    output.mkdir(parents=True, exist_ok=True)
    config = asdict(replace(network.config, supervision=supervision))
    write_json(output / "config.json", config)
    tensors = {
        name: (tensor.half() if tensor.is_floating_point() else tensor).contiguous()
        for name, tensor in network.state_dict().items()
    }
    if not all(torch.isfinite(tensor).all() for tensor in tensors.values() if tensor.is_floating_point()):
        raise ValueError("A weight is not finite in half precision; training has diverged, lower the learning rate.")
    write_tensors(output / WEIGHTS_FILE, tensors)


def record_of(arguments: argparse.Namespace) -> str:
    """What the weights saw, and the line that makes them."""
    fine_steps = " ".join(map(str, arguments.fine_steps))
    return (
        f"photometric consistency of {arguments.triplets} rendered three-frame street videos (appearance "
        f"{APPEARANCE_VERSION}, seeds {TRAINING_SEEDS[0]}-{TRAINING_SEEDS[arguments.triplets - 1]}), {arguments.steps} "
        f"steps at {NETWORK.height} x {NETWORK.width} and {fine_steps} at {FINE.height} x {FINE.width}, "
        f"{arguments.batch_size} videos each, seed {arguments.seed}; the last round also pulls plain surfaces above the "
        f"horizon away; no depth, label or instance map entered training; "
        f"python builder_scripts/train_demo_depth.py --triplets {arguments.triplets} --steps {arguments.steps} "
        f"--fine-steps {fine_steps} --batch-size {arguments.batch_size} --seed {arguments.seed}"
    )


def rendered_video(arguments: argparse.Namespace, config: SPIdepthConfig) -> RenderedVideo:
    """Training video at the size of a network, rendered now where it is missing."""
    folder = arguments.work / f"frames_v{APPEARANCE_VERSION}_{config.height}x{config.width}"
    video = RenderedVideo(folder, arguments.triplets, config.height, config.width)
    for index in tqdm(
        range(len(video)), desc=f"render {config.height}x{config.width}", unit="triplet", mininterval=10
    ):
        video[index]
    return video


def training_phases(
    arguments: argparse.Namespace,
) -> tuple[SPIdepthTrainingSettings, list[SPIdepthTrainingSettings]]:
    """How the network is trained at its first size, and in every round at its final one."""
    first = SPIdepthTrainingSettings(
        steps=arguments.steps,
        batch_size=arguments.batch_size,
        learning_rate=1.5e-3,
        pose_rate=0.25,
        schedule="cosine",
        warmup_steps=50,
        smoothness=3e-4,
        quarter_until=0.05,
        half_until=0.4,
        align=True,
        typical_depth=START_DEPTH,
        jitter=0.2,
        seed=arguments.seed,
    )
    fine = replace(first, learning_rate=5e-4, quarter_until=0.0, half_until=0.0)
    rounds = [
        replace(fine, steps=count, seed=arguments.seed + number) for number, count in enumerate(arguments.fine_steps)
    ]
    return first, [*rounds[:-1], replace(rounds[-1], far_sky=FAR_SKY)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--output", type=Path, required=True, help="folder for config.json and model.safetensors")
    parser.add_argument("--work", type=Path, default=Path("build/demo_depth"), help="rendered frames and checkpoints")
    parser.add_argument("--triplets", type=int, default=1000, help="training scenes")
    parser.add_argument("--steps", type=int, default=7000, help=f"at {NETWORK.height} x {NETWORK.width}")
    parser.add_argument(
        "--fine-steps",
        type=int,
        nargs="+",
        default=[2000, 1600, 3000, 450],
        help=f"of each round at {FINE.height} x {FINE.width}",
    )
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0, help="0 = as many as torch likes")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)

    first, rounds = training_phases(arguments)
    depth, pose = new_network(arguments.seed)
    train_spidepth(depth, pose, rendered_video(arguments, NETWORK), first, checkpoint_path=arguments.work / "first.pt")
    depth = stretched(depth)
    video = rendered_video(arguments, FINE)
    for number, settings in enumerate(rounds):
        checkpoint = arguments.work / f"fine_{number}.pt"
        losses = train_spidepth(depth, pose, video, settings, checkpoint_path=checkpoint)
    write_weights(depth, arguments.output, supervision=record_of(arguments))
    print(f"wrote {arguments.output}; losses at the end: " + ", ".join(f"{k} {v:.4f}" for k, v in losses.items()))


if __name__ == "__main__":
    main()
