"""How good are the demo network's semantics on scenes it has never seen? Prints mean IoU, next to three references.

    python builder_scripts/measure_demo_semantics.py                    # 60 scenes, about 5 minutes on one core
    python builder_scripts/measure_demo_semantics.py --weights FOLDER --scenes 20

For each way of making clusters it prints the mean over the true classes present of the IoU per class, in percent, and
the same over the classes that cover at least one pixel in a hundred: most of the nineteen are smaller than that.
Every cluster is named after the class it covers most pixels of (majority naming, which uses the renderer's truth: this
is a measurement, nothing is trained here). All rows are made by the same code in one run:

* ``probe``: the network's own 27 clusters, as the pipeline uses them;
* ``codes``: k-means on the network's codes, label-free, fitted on the measured images;
* ``random backbone``: k-means on the tokens of an untrained backbone of the same size (three seeds);
* ``patch colour``: k-means on the mean colour of every patch;
* ``linear classifier with labels``: logistic regression from the same codes to the true classes, fitted on as many
  other scenes. It tells how much of the truth the codes hold at all; nothing of it is kept.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans2
from torch.nn import functional
from tqdm import tqdm

from mbps_dataset import scenes, taxonomy
from mbps_dataset.models.cause.segmenter import CauseConfig, CauseSegmenter
from mbps_dataset.models.networks import WEIGHTS_ROOT
from mbps_dataset.resizing import resize_nearest
from mbps_dataset.stages import overclustering, semantics
from mbps_dataset.stages.network_pixels import network_pixels


FIRST_SEED = 5_000_000  # apart from the seeds of training and of the scenes source
LABELLED_SEED = 5_500_000  # scenes of the linear classifier
FREQUENT = 0.01  # share of all pixels from which a class counts as frequent
SCENE = scenes.SceneSettings(height=512, width=1024)


@dataclass(frozen=True)
class MeasuredScene:
    """A resized, normalised image [3, h, w] and the true 19-class map at the size it was rendered at."""

    pixels: torch.Tensor
    train_ids: NDArray[np.uint8]


def measured_scenes(count: int, first_seed: int = FIRST_SEED) -> list[MeasuredScene]:
    """`count` unseen scenes, rendered."""
    return [_scene(first_seed + k) for k in tqdm(range(count), desc="rendering")]


def _scene(seed: int) -> MeasuredScene:
    view = scenes.render(seed, SCENE)
    pixels = network_pixels(semantics.resize_for_windows(view.image))
    return MeasuredScene(pixels, taxonomy.LABEL_ID_TO_TRAIN_ID[view.label_ids])


def iou_per_class(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """IoU of each of the 19 classes after majority naming; NaN where the class is absent. `counts` [k, 19]."""
    named = np.zeros((19, 19), dtype=np.int64)
    np.add.at(named, counts.argmax(axis=1), counts)
    hit = np.diag(named)
    union = named.sum(axis=0) + named.sum(axis=1) - hit
    return np.where(named.sum(axis=0) > 0, hit / np.maximum(union, 1), np.nan)


def count_pixels(
    labels: Iterator[NDArray[np.integer]], measured: Sequence[MeasuredScene], k: int
) -> NDArray[np.int64]:
    """Pixels of each cluster on each class, over all scenes: int64 [k, 19]; labels are brought to the truth's size."""
    counts = np.zeros((k, 19), dtype=np.int64)
    for cluster_ids, scene in zip(labels, measured):
        cluster_ids = resize_nearest(cluster_ids, *scene.train_ids.shape)
        known = scene.train_ids != taxonomy.VOID
        pairs = cluster_ids[known].astype(np.int64) * 19 + scene.train_ids[known]
        counts += np.bincount(pairs, minlength=k * 19).reshape(k, 19)
    return counts


def encode(network: semantics.CodeModel, measured: Sequence[MeasuredScene]) -> list[semantics.WindowCodes]:
    """The codes of every scene through the pipeline's sliding window and mirror averaging."""
    return [semantics.sliding_window_codes(network, scene.pixels) for scene in tqdm(measured, desc="encoding")]


def kmeans_counts(
    encoded: Sequence[semantics.WindowCodes], measured: Sequence[MeasuredScene], k: int
) -> NDArray[np.int64]:
    """Spherical k-means on one token per patch, label-free; pixels assigned by cosine: counts [k, 19]."""
    tokens = [
        overclustering.collect_tokens(
            semantics.merge_codes(windows), grid_hw=tuple(side // 14 for side in windows.image_hw), limit=None
        )
        for windows in encoded
    ]
    centres = overclustering.fit_kmeans(np.concatenate(tokens), k, seed=0, restarts=3)
    labels = (
        semantics.label_map(overclustering.cluster_logits(semantics.merge_codes(windows), centres))
        for windows in tqdm(encoded, desc=f"k-means {k}")
    )
    return count_pixels(labels, measured, k)


def colour_counts(measured: Sequence[MeasuredScene], k: int) -> NDArray[np.int64]:
    """Euclidean k-means on the mean colour of each patch: counts [k, 19]."""
    maps = [functional.avg_pool2d(scene.pixels[None], 14)[0] for scene in measured]
    tokens = torch.cat([map.flatten(1).T for map in maps]).double().numpy()
    runs = [kmeans2(tokens, k, minit="++", iter=50, seed=seed, missing="warn") for seed in range(3)]
    centres = min(runs, key=lambda run: float(((tokens - run[0][run[1]]) ** 2).sum()))[0]

    def _labels() -> Iterator[NDArray[np.integer]]:
        for map, scene in zip(maps, measured):
            pixels = functional.interpolate(map[None], scene.pixels.shape[1:], mode="bilinear")[0]
            distance = torch.cdist(pixels.flatten(1).T, torch.from_numpy(centres).float())
            yield distance.argmin(dim=1).reshape(pixels.shape[1:]).numpy().astype(np.uint8)

    return count_pixels(_labels(), measured, k)


def linear_counts(
    encoded: Sequence[semantics.WindowCodes],
    measured: Sequence[MeasuredScene],
    labelled: tuple[Sequence[semantics.WindowCodes], Sequence[MeasuredScene]],
) -> NDArray[np.int64]:
    """Logistic regression with labels, fitted on the tokens of other scenes: counts [19, 19]."""
    inputs, targets = [], []
    for windows, scene in zip(*labelled):
        grid_hw = (windows.image_hw[0] // 14, windows.image_hw[1] // 14)
        inputs.append(overclustering.collect_tokens(semantics.merge_codes(windows), grid_hw=grid_hw, limit=None))
        targets.append(resize_nearest(scene.train_ids, *grid_hw).reshape(-1))
    known = torch.from_numpy(np.concatenate(targets)).long()
    tokens = torch.from_numpy(np.concatenate(inputs)).float()[known != taxonomy.VOID]
    known = known[known != taxonomy.VOID]
    layer = torch.nn.Linear(tokens.shape[1], 19)
    optimiser = torch.optim.LBFGS(layer.parameters(), max_iter=200, line_search_fn="strong_wolfe")

    def _loss() -> torch.Tensor:
        optimiser.zero_grad()
        loss = functional.cross_entropy(layer(tokens), known) + 1e-5 * layer.weight.square().sum()
        loss.backward()
        return loss

    optimiser.step(_loss)
    weight, bias = layer.weight.detach(), layer.bias.detach()

    def _labels() -> Iterator[NDArray[np.integer]]:
        for windows in tqdm(encoded, desc="linear classifier"):
            codes = functional.normalize(torch.as_tensor(semantics.merge_codes(windows)), dim=0)
            yield semantics.label_map(torch.einsum("kc,chw->khw", weight, codes) + bias[:, None, None])

    return count_pixels(_labels(), measured, 19)


class BackboneTokens:
    """A backbone in the place of a network with codes: its tokens are the codes."""

    def __init__(self, config: CauseConfig, seed: int) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.backbone = CauseSegmenter(config).backbone.eval()

    def codes(self, pixels: torch.Tensor) -> torch.Tensor:
        """[B, 3, S, S] -> [B, P, D]."""
        return self.backbone.features(pixels)


def probe_counts(network: CauseSegmenter, measured: Sequence[MeasuredScene]) -> NDArray[np.int64]:
    """The network's own clusters, as the pipeline makes them without CRF: counts [clusters, 19]."""
    labels = (
        semantics.label_map(semantics.sliding_window_log_probs(network, scene.pixels))
        for scene in tqdm(measured, desc="probe")
    )
    return count_pixels(labels, measured, network.config.clusters)


def _report(name: str, counts: NDArray[np.int64]) -> float:
    iou = iou_per_class(counts)
    mean = float(np.nanmean(iou))
    frequent = counts.sum(axis=0) >= FREQUENT * counts.sum()
    winning = int((counts.sum(axis=1) > 0).sum())
    print(
        f"{name:32s} {100 * mean:6.1f} {100 * iou[frequent].mean():6.1f}   {winning:3d} of {len(counts)} clusters win"
    )
    return mean


def _per_class(counts: NDArray[np.int64]) -> str:
    values = (f"{n} {100 * v:.0f}" for n, v in zip(taxonomy.NAMES_19, iou_per_class(counts)) if not np.isnan(v))
    return ", ".join(values)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, default=WEIGHTS_ROOT / "cause")
    parser.add_argument("--scenes", type=int, default=60)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    network = CauseSegmenter.from_pretrained(arguments.weights)
    measured = measured_scenes(arguments.scenes)
    present = np.unique(np.concatenate([np.unique(scene.train_ids) for scene in measured]))
    print(f"{arguments.scenes} unseen scenes, {int((present != taxonomy.VOID).sum())} classes present; mean IoU in %")
    print(f"{'':32s}    all   frequent classes")
    _report("probe, 27", probe_counts(network, measured))
    rows = {"codes": encode(network, measured)}
    rows |= {f"random backbone {s}": encode(BackboneTokens(network.config, s), measured) for s in range(3)}
    for k in (27, 80):
        counts = {name: kmeans_counts(encoded, measured, k) for name, encoded in rows.items()}
        for name, count in counts.items():
            _report(f"{name}, k-means {k}", count)
        _report(f"patch colour, k-means {k}", colour_counts(measured, k))
    labelled = measured_scenes(arguments.scenes, LABELLED_SEED)
    linear = linear_counts(rows["codes"], measured, (encode(network, labelled), labelled))
    _report("linear classifier with labels", linear)
    print("per class, codes, 80 clusters:", _per_class(counts["codes"]))


if __name__ == "__main__":
    main()
