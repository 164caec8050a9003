"""What do codes learned without labels add to the tokens they are learned from? Prints mean IoU for five kinds of codes.

    python builder_scripts/measure_label_free.py --backbone facebook/dinov2-small                 # rendered scenes
    python builder_scripts/measure_label_free.py --backbone facebook/dinov2-small --choose        # settings, on other scenes
    python builder_scripts/measure_label_free.py --backbone FOLDER --images my/train --labels my/train_labels \
        --report-images my/val --report-labels my/val_labels --void 11                            # any labelled folder

Spherical k-means is fitted, label-free, on one set of images and reported on another; every cluster is named after the class
it covers most pixels of (majority naming by the truth of the reported images: a measurement, nothing is trained by it). All
rows see the same tokens, of windows as the pipeline has them, averaged over the mirror image. The rows:

* ``tokens, raw`` and ``centred``: of the backbone as it is, and less their mean over the fitted images;
* ``untrained head``: codes of a CAUSE head that has learned nothing (three of them with three seeds);
* ``contrastive``: after `train_cause` on the fitted images, with ``--training-steps N`` (left out without it);
* ``whitening``: `fit_token_whitening` of the fitted images.

``--choose`` prints whitening with other directions and shrinkages, and more, on the *fitted* images with their own truth, so
that a setting can be chosen without a look at what is reported.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from mbps_dataset import scenes, taxonomy
from mbps_dataset.arrays import RGBImage
from mbps_dataset.models.cause import CauseSegmenter
from mbps_dataset.models.cause.on_backbone import cause_on_backbone
from mbps_dataset.resizing import resize_nearest
from mbps_dataset.sources import FolderSource
from mbps_dataset.stages import overclustering, semantics
from mbps_dataset.stages.network_pixels import network_pixels
from mbps_dataset.stages.token_whitening import fit_token_whitening
from mbps_dataset.training.cause import CauseTrainingSettings, train_cause


REPORT_SEED, FIT_SEED = 5_000_000, 5_600_000  # of scenes; apart from those of training and of the scenes source
SCENE = scenes.SceneSettings(height=512, width=1024)
COUNTS = (27, 80)
DIRECTIONS, SHRINKAGE = 64, 1.0
CELLS = 4
"""Cells of a patch's side for which clusters are told; the pipeline does so for every pixel."""
GRID = ((32, 1.0), (64, 0.3), (64, 1.0), (64, 3.0), (128, 1.0))
"""Directions and shrinkages that ``--choose`` tries."""

Labels = NDArray[np.uint8]
Codes = Callable[[torch.Tensor], torch.Tensor]
"""Tokens [B, P, D] -> codes [B, P, C]."""


@dataclass(frozen=True)
class Encoded:
    """An image's tokens float16 [windows, 2, P, D], plain and mirrored, where its windows lie, and its true classes [H, W]."""

    tokens: torch.Tensor
    like: semantics.WindowCodes
    labels: Labels

    def windows(self, code: Codes) -> semantics.WindowCodes:
        """Codes averaged over the mirror image, as the pipeline has them."""
        pairs = self.tokens.flatten(0, 1).float()
        side = int(pairs.shape[1] ** 0.5)
        maps = code(pairs).float().transpose(1, 2).unflatten(2, (side, side)).unflatten(0, (-1, 2))
        averaged = (maps[:, 0] + maps[:, 1].flip(-1)) / 2
        positions = tuple((_cells(top), _cells(left)) for top, left in self.like.positions)
        height, width = self.like.image_hw
        return semantics.WindowCodes(averaged, positions, (_cells(height), _cells(width)), CELLS * side)


def _cells(pixels: int) -> int:
    """Pixels in cells; windows lie at whole ones."""
    return pixels * CELLS // semantics.PATCH


class _Recorder:
    """A backbone in the place of a network with codes; keeps what it gave, in order."""

    def __init__(self, network: CauseSegmenter) -> None:
        self.network, self.given = network, list[torch.Tensor]()

    def codes(self, pixels: torch.Tensor) -> torch.Tensor:
        self.given.append(self.network.backbone.features(pixels))
        return self.given[-1][..., :1]


@torch.no_grad()
def encode(network: CauseSegmenter, pictures: Iterable[tuple[RGBImage, Labels]], what: str) -> list[Encoded]:
    """Tokens of all windows of pictures and of their mirror images."""
    encoded = []
    for image, labels in tqdm(pictures, desc=what):
        recorder = _Recorder(network)
        like = semantics.sliding_window_codes(recorder, network_pixels(semantics.resize_for_windows(image)))
        plain, mirrored = torch.cat(recorder.given).chunk(2)
        encoded.append(Encoded(torch.stack([plain, mirrored], dim=1).half(), like, labels))
    return encoded


def rendered(count: int, first_seed: int) -> Iterable[tuple[RGBImage, Labels]]:
    """Scenes and their 19 classes."""
    for number in range(count):
        view = scenes.render(first_seed + number, SCENE)
        yield view.image, taxonomy.LABEL_ID_TO_TRAIN_ID[view.label_ids]


def photographs(images: Path, labels: Path | None, void: int) -> Iterable[tuple[RGBImage, Labels]]:
    """Images of a folder and their maps of class ids, `void` as 255; all void without a folder of `labels`.

    Raises `ValueError` for an image without a map in it.
    """
    for frame in FolderSource(images, labels).frames("train"):
        truth = frame.truth()
        if truth is None and labels is not None:
            raise ValueError(f"{frame.image_id} has no label map in {labels}.")
        ids = np.full(frame.image().shape[:2], void) if truth is None else truth.label_ids
        yield frame.image(), np.where(ids == void, 255, ids).astype(np.uint8)


Pictures = Iterable[tuple[RGBImage, Labels]]


def to_fit(arguments: argparse.Namespace) -> Pictures:
    """What clusters, whitening and training see."""
    if arguments.images is None:
        return rendered(arguments.scenes, FIT_SEED)
    return photographs(arguments.images, arguments.labels, arguments.void)


def to_report(arguments: argparse.Namespace) -> Pictures:
    """What is measured on."""
    if arguments.images is None:
        return rendered(arguments.scenes, REPORT_SEED)
    return photographs(arguments.report_images, arguments.report_labels, arguments.void)


def kmeans_tokens(fitted: Sequence[Encoded], code: Codes, most: int) -> NDArray[np.float64]:
    """One code per patch of the fitted images, unit length, thinned to about `most`."""
    tokens = []
    for image in fitted:
        windows = image.windows(code)
        grid_hw = (windows.image_hw[0] // CELLS, windows.image_hw[1] // CELLS)
        tokens.append(overclustering.collect_tokens(semantics.merge_codes(windows), grid_hw=grid_hw, limit=None))
    rows = np.concatenate(tokens)
    return rows[:: max(1, len(rows) // most)]


def mean_iou(reported: Sequence[Encoded], code: Codes, centres: Sequence[NDArray[np.float64]]) -> list[float]:
    """Mean IoU in percent over the true classes present, after majority naming, for several sets of centres."""
    counts = [np.zeros((len(each), 256), dtype=np.int64) for each in centres]
    for image in reported:
        codes = semantics.merge_codes(image.windows(code))
        known = image.labels != 255
        for each, count in zip(centres, counts):
            clusters = semantics.label_map(overclustering.cluster_logits(codes, each))
            pairs = resize_nearest(clusters, *image.labels.shape)[known].astype(np.int64) * 256 + image.labels[known]
            count += np.bincount(pairs, minlength=count.size).reshape(count.shape)
    return [_mean_iou(count) for count in counts]


def _mean_iou(counts: NDArray[np.int64]) -> float:
    named = np.zeros((256, 256), dtype=np.int64)
    np.add.at(named, counts.argmax(axis=1), counts)
    hit, true = np.diag(named), named.sum(axis=0)
    present = true > 0
    return float(100 * (hit[present] / (true + named.sum(axis=1) - hit)[present]).mean())


def measure(fitted: Sequence[Encoded], reported: Sequence[Encoded], code: Codes, seeds: int, most: int) -> list[float]:
    """Mean over `seeds` of k-means of the mean IoU, for each of `COUNTS`."""
    tokens = kmeans_tokens(fitted, code, most)
    centres = [
        overclustering.fit_kmeans(tokens, k, seed=seed, restarts=1, iterations=60)
        for k in COUNTS
        for seed in range(seeds)
    ]
    found = np.array(mean_iou(reported, code, centres)).reshape(len(COUNTS), seeds)
    return found.mean(axis=1).tolist()


def trained(network: CauseSegmenter, pictures: Sequence[RGBImage], steps: int) -> CauseSegmenter:
    """A copy of `network` after CAUSE's label-free training on `pictures`."""
    pictures = [semantics.resize_for_windows(picture) for picture in pictures]
    settings = CauseTrainingSettings(codebook_steps=min(steps, 100), contrastive_steps=steps, probe_steps=0)
    return train_cause(network, pictures, settings)


def head_codes(network: CauseSegmenter) -> Codes:
    """Codes of a network's teacher head."""
    return torch.no_grad()(network.segment.encode)


def _untrained(arguments: argparse.Namespace, seed: int) -> CauseSegmenter:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return cause_on_backbone(arguments.backbone, code_dim=arguments.code_dim).requires_grad_(False)


def _fit_whitening(fitted: Sequence[Encoded], directions: int, shrinkage: float = SHRINKAGE) -> Codes:
    return fit_token_whitening((image.tokens.float() for image in fitted), directions, shrinkage=shrinkage)


def _rows(
    arguments: argparse.Namespace,
    fitted: Sequence[Encoded],
    reported: Sequence[Encoded],
    pictures: Sequence[RGBImage],
) -> None:
    def _row(name: str, *codes: Codes) -> None:
        found = [measure(fitted, reported, code, arguments.seeds, arguments.tokens) for code in codes]
        print(f"{name:44s}" + "".join(f"{value:8.1f}" for value in np.mean(found, axis=0)), flush=True)

    print(f"{'mean IoU, %':44s}" + "".join(f"{f'k = {k}':>8s}" for k in COUNTS))
    if arguments.choose:
        for directions, shrinkage in GRID:
            _row(
                f"whitening, {directions} directions, shrinkage {shrinkage:g}",
                _fit_whitening(fitted, directions, shrinkage),
            )
        return
    _row("tokens, raw", lambda tokens: tokens)
    _row("tokens, centred", _fit_whitening(fitted, 0))
    _row("untrained head", *(head_codes(_untrained(arguments, seed)) for seed in range(3)))
    if arguments.training_steps:
        network = trained(_untrained(arguments, 0), pictures, arguments.training_steps)
        _row(f"contrastive, {arguments.training_steps} steps", head_codes(network))
    _row(f"whitening, {DIRECTIONS} directions", _fit_whitening(fitted, DIRECTIONS))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", required=True, help="folder or Hub id of a DINOv2 of transformers")
    parser.add_argument("--code-dim", type=int, default=64, help="channels of the heads' codes")
    parser.add_argument("--scenes", type=int, default=60, help="rendered scenes to fit, and as many to report")
    parser.add_argument("--images", type=Path, help="photographs to fit in place of scenes")
    parser.add_argument("--labels", type=Path, help="their maps of class ids; only --choose looks at them")
    parser.add_argument("--report-images", type=Path)
    parser.add_argument("--report-labels", type=Path)
    parser.add_argument("--void", type=int, default=255, help="class id of the maps that is none")
    parser.add_argument("--choose", action="store_true")
    parser.add_argument("--training-steps", type=int, default=0, metavar="N")
    parser.add_argument("--seeds", type=int, default=3, help="of k-means")
    parser.add_argument("--tokens", type=int, default=40_000, help="tokens that k-means sees")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    network = _untrained(arguments, 0)
    fitted = encode(network, to_fit(arguments), "encoding what is fitted")
    reported = fitted if arguments.choose else encode(network, to_report(arguments), "encoding what is reported")
    _rows(arguments, fitted, reported, [image for image, _ in to_fit(arguments)] if arguments.training_steps else [])


if __name__ == "__main__":
    main()
