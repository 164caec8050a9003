"""Train the demo's semantic and saliency networks from rendered pictures, and write them into the package.

    python builder_scripts/train_demo_weights.py                       # both, about an hour on one core
    python builder_scripts/train_demo_weights.py --part cause --output /tmp/weights

This is the record of how the shipped weights came to be. Only `RenderedView.image` is read: no label, depth or
instance map. Pictures are rendered once into ``--cache``; training continues where it was killed from
``--checkpoints``. The seeds of these pictures lie in `TRAINING_SEEDS`, apart from those that the scenes source serves.

The semantic network: a DINOv2-layout ViT taught by visual words, then CAUSE's three stages on its tokens, stored in
half precision. The saliency network: a DINOv3-layout ViT taught by visual words and, for its class token, by
bags of them.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm
from transformers import DINOv3ViTConfig, DINOv3ViTModel

from mbps_dataset import scenes
from mbps_dataset.models.attention import ClsAttention
from mbps_dataset.models.cause.segmenter import CauseConfig, CauseSegmenter
from mbps_dataset.models.networks import WEIGHTS_ROOT
from mbps_dataset.sources.rendered import TRAINING_SEEDS
from mbps_dataset.stages.semantics import resize_for_windows
from mbps_dataset.store import replacing
from mbps_dataset.training.cause import CauseTrainingSettings, train_cause
from mbps_dataset.training.checkpointing import seeded
from mbps_dataset.training.visual_words import VisualWordsSettings, train_visual_words
from mbps_dataset.training.whitening import sinusoidal_positions, whiten_patch_filters


SCENE = scenes.SceneSettings(height=512, width=1024)

CAUSE = CauseConfig(
    hidden_size=192,
    layers=4,
    heads=3,
    mlp_ratio=3,
    position_grid=23,
    projection_dim=128,
    codebook_size=256,
    feed_forward_dim=256,
)
BACKBONE_TRAINING = VisualWordsSettings(rounds=3, steps_per_round=400)
CAUSE_TRAINING = CauseTrainingSettings(contrastive_steps=150, codebook_kmeans_start=True)

ATTENTION = DINOv3ViTConfig(
    hidden_size=96, intermediate_size=384, num_hidden_layers=4, num_attention_heads=3, patch_size=16, image_size=224,
    num_register_tokens=4,
)  # fmt: skip
ATTENTION_TRAINING = VisualWordsSettings(
    rounds=1,
    steps_per_round=400,
    windows_per_step=24,
    window_px=160,
    window_share=(0.25, 1.0),
    masked_share=(0.0, 0.1),
    bag_weight=3.0,
)
ATTENTION_PICTURES = 400


def rendered_pictures(count: int, cache: Path) -> np.ndarray:
    """`count` training pictures of 322 x 644 as they reach the network, uint8 [count, 322, 644, 3], kept in a file."""
    path = cache / f"scenes_v{scenes.APPEARANCE_VERSION}_{count}.npy"
    if not path.exists():
        with replacing(path) as unfinished:
            pictures = np.lib.format.open_memmap(unfinished, mode="w+", dtype=np.uint8, shape=(count, 322, 644, 3))
            for number in tqdm(range(count), desc="rendering"):
                pictures[number] = resize_for_windows(scenes.render(TRAINING_SEEDS[number], SCENE).image)
            pictures.flush()
    return np.load(path, mmap_mode="r")


def record_of(count: int) -> str:
    """What the semantic network saw, and the line that makes it."""
    return (
        f"self-supervised on {count} rendered street scenes (appearance {scenes.APPEARANCE_VERSION}, seeds "
        f"{TRAINING_SEEDS[0]}-{TRAINING_SEEDS[count - 1]}): visual words, then CAUSE's three stages; no label, depth or "
        f"instance map entered training; python builder_scripts/train_demo_weights.py --part cause --scenes {count}"
    )


def train_semantics(pictures: np.ndarray, checkpoints: Path) -> CauseSegmenter:
    """Backbone by visual words, then codebook, head and probe."""
    with seeded(0):
        segmenter = CauseSegmenter(replace(CAUSE, supervision=record_of(len(pictures))))
        embeddings = segmenter.backbone.model.embeddings
        whiten_patch_filters(embeddings.patch_embeddings.projection, pictures)
        embeddings.position_embeddings.data[0, 1:] = sinusoidal_positions(CAUSE.position_grid, CAUSE.hidden_size)
    network = segmenter.backbone.model
    network.set_attn_implementation("eager")  # faster than the fused one for training on a processor
    train_visual_words(
        network, pictures, BACKBONE_TRAINING, width=CAUSE.hidden_size, patch_px=CAUSE.patch_size,
        checkpoint_folder=checkpoints / "backbone",
    )  # fmt: skip
    return train_cause(segmenter, pictures, CAUSE_TRAINING, checkpoint_folder=checkpoints / "cause")


def train_saliency(pictures: np.ndarray, checkpoints: Path) -> ClsAttention:
    """A DINOv3-layout ViT by visual words, whose class token learns which surprising words a window holds."""
    pictures = pictures[:ATTENTION_PICTURES]
    with seeded(0):
        network = DINOv3ViTModel(ATTENTION)
        whiten_patch_filters(network.embeddings.patch_embeddings, pictures)
    network.set_attn_implementation("eager")
    train_visual_words(
        network, pictures, ATTENTION_TRAINING, width=ATTENTION.hidden_size, patch_px=ATTENTION.patch_size,
        checkpoint_folder=checkpoints / "attention",
    )  # fmt: skip
    return ClsAttention(network)


def main() -> None:
    """Train what was asked for and save it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=("cause", "attention", "both"), default="both")
    parser.add_argument("--scenes", type=int, default=1200, help="training pictures")
    parser.add_argument("--cache", type=Path, default=Path("build/demo_pictures"))
    parser.add_argument("--checkpoints", type=Path, default=Path("build/demo_training"))
    parser.add_argument("--output", type=Path, default=WEIGHTS_ROOT)
    parser.add_argument("--threads", type=int, default=1, help="the result depends on it in the last digits")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    pictures = rendered_pictures(arguments.scenes, arguments.cache)
    if arguments.part in ("cause", "both"):
        train_semantics(pictures, arguments.checkpoints).half().save_pretrained(arguments.output / "cause")
    if arguments.part in ("attention", "both"):
        train_saliency(pictures, arguments.checkpoints).save_pretrained(arguments.output / "attention")


if __name__ == "__main__":
    main()
