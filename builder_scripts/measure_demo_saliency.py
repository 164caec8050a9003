"""Does the demo network's class token look at things? Prints how salient each true class is on unseen scenes.

    python builder_scripts/measure_demo_saliency.py                     # 24 scenes, about a minute on one core

Per true class: the share of its pixels above Otsu's threshold of the attention, and its coverage; then the classes that
the rule of the pipeline (six highest ratios among those covering at most a tenth of their images) calls things, for the
trained network and for an untrained one of the same size. The renderer's truth is read for measuring only.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm
from transformers import DINOv3ViTModel

from mbps_dataset import scenes, taxonomy
from mbps_dataset.models.attention import ClsAttention
from mbps_dataset.models.networks import WEIGHTS_ROOT
from mbps_dataset.stages import saliency
from mbps_dataset.stages.network_pixels import network_pixels


FIRST_SEED = 6_500_000  # apart from the seeds of training and of the scenes source
SCENE = scenes.SceneSettings(height=512, width=1024)


def count_saliency(network: ClsAttention, count: int) -> saliency.ClassCounts:
    """Salient and all pixels of the 19 classes over `count` unseen scenes at 512 x 1024."""
    total = saliency.ClassCounts.zeros(19)
    for number in tqdm(range(count), desc="saliency"):
        view = scenes.render(FIRST_SEED + number, SCENE)
        with torch.no_grad():
            attention = network.attention(network_pixels(view.image)[None])[0].numpy()
        train_ids = taxonomy.LABEL_ID_TO_TRAIN_ID[view.label_ids]
        total = total + saliency.count_overlap(train_ids, saliency.upsample(attention, *train_ids.shape))
    return total


def print_ranking(name: str, counts: saliency.ClassCounts) -> None:
    """Ratios in descending order, and what the pipeline's rule makes of them."""
    ratios, coverage = counts.ratios(), counts.coverage()
    things = saliency.rank_things(ratios, coverage, n_things=6, max_coverage=0.10)
    right = sum(class_id in taxonomy.THINGS_19 for class_id in things)
    print(f"{name}: {', '.join(taxonomy.NAMES_19[class_id] for class_id in things)} ({right} of {len(things)} things)")
    for class_id in _descending(ratios):
        share, covered = 100 * ratios[class_id], 100 * coverage[class_id]
        print(f"    {taxonomy.NAMES_19[class_id]:14s} salient {share:5.1f} %   covers {covered:5.1f} %")


def _descending(ratios: NDArray[np.float64]) -> list[int]:
    return [int(k) for k in np.argsort(-np.nan_to_num(ratios, nan=-1.0), kind="stable") if not np.isnan(ratios[k])]


def main() -> None:
    """Print both rankings."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, default=WEIGHTS_ROOT / "attention")
    parser.add_argument("--scenes", type=int, default=24)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    trained = ClsAttention.from_pretrained(arguments.weights)
    torch.manual_seed(0)
    untrained = ClsAttention(DINOv3ViTModel(trained.backbone.config)).eval()
    print_ranking("trained", count_saliency(trained, arguments.scenes))
    print_ranking("untrained", count_saliency(untrained, arguments.scenes))


if __name__ == "__main__":
    main()
