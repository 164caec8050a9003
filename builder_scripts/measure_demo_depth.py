"""How good the demo depth network is, on rendered scenes that it has never seen.

    python builder_scripts/measure_demo_depth.py --weights mbps_dataset/weights/spidepth

Prints, over measured pixels between 1 and 80 m, every prediction scaled to the median of the truth of its image:

* AbsRel ``mean |d - d*| / d*`` and delta ``share of pixels with max(d / d*, d* / d) < 1.25``, for the network, for the
  best constant, and for the best depth per image row, fitted to the truth of training scenes. All constants are the
  same once scaled to the median. Of two row priors (the median of a row, and the value of least AbsRel) the one that
  is better on the training scenes is taken.
* the recall of borders between neighbouring instances of one class: the share of border pixels that have a depth edge
  (Sobel of depth in [0, 1] above tau, after smoothing, as the instance stage cuts) within the pixels that the stage
  takes back; for the predicted and for the true depth (sky = the farthest), with the share of all pixels that are
  edges. A network that calls everything an edge would have full recall.
* the share of the sky's pixels that the network, scaled as above, puts nearer than 40 m: a plain sky looks the same at
  every depth, so nothing in photometric consistency keeps it away.

Truth is read here to measure; none of it enters training.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from torch.nn import functional as F

from mbps_dataset.models.spidepth import SPIdepth
from mbps_dataset.scenes import RenderedView, SceneSettings, render
from mbps_dataset.sources.rendered import TRAINING_SEEDS


UNSEEN_SEEDS = range(4_000_000, 5_000_000)
NEAREST_M, FARTHEST_M = 1.0, 80.0
SIZE = SceneSettings(height=512, width=1024)
SKY, NEAR_SKY_M = 23, 40.0  # Cityscapes label id, and where no sky should be
FIRST_THING, LAST_THING = 24, 33  # Cityscapes label ids of things
SIGMA, TOLERANCE_PX = 1.0, 3  # of the instance stage: smoothing, and the pixels it takes back

Depth = NDArray[np.float64]


@dataclass
class DepthScores:
    """Running sums of one prediction's errors; images count equally."""

    absolute_relative: list[float] = field(default_factory=list)
    within_quarter: list[float] = field(default_factory=list)

    def add(self, predicted: Depth, true: Depth) -> None:
        """Score one image, predicted [H, W] > 0 up to scale, true [H, W] in metres."""
        measured = (true >= NEAREST_M) & (true <= FARTHEST_M)
        scaled, truth = predicted[measured], true[measured]
        scaled = np.clip(scaled * (np.median(truth) / np.median(scaled)), NEAREST_M, FARTHEST_M)
        self.absolute_relative.append(float(np.mean(np.abs(scaled - truth) / truth)))
        self.within_quarter.append(float(np.mean(np.maximum(scaled / truth, truth / scaled) < 1.25)))

    def __str__(self) -> str:
        return f"AbsRel {np.mean(self.absolute_relative):.3f}   delta<1.25 {np.mean(self.within_quarter):.3f}"


def near_sky(predicted: Depth, true: Depth, sky: NDArray[np.bool_]) -> float:
    """Share of the sky that is predicted nearer than `NEAR_SKY_M`, scaled as in `DepthScores`; NaN without sky."""
    measured = (true >= NEAREST_M) & (true <= FARTHEST_M)
    scaled = predicted[sky] * (np.median(true[measured]) / np.median(predicted[measured]))
    return float(np.mean(scaled < NEAR_SKY_M)) if sky.any() else float("nan")


@dataclass
class BorderScores:
    """Border pixels found by depth edges, and how many pixels are edges at all."""

    found: int = 0
    borders: int = 0
    edges: int = 0
    pixels: int = 0

    def add(self, depth: Depth, borders: NDArray[np.bool_], tau: float) -> None:
        edges = depth_edges(depth, tau)
        near = ndimage.binary_dilation(edges, iterations=TOLERANCE_PX)
        self.found += int((near & borders).sum())
        self.borders += int(borders.sum())
        self.edges += int(edges.sum())
        self.pixels += edges.size

    def __str__(self) -> str:
        recall = self.found / self.borders if self.borders else float("nan")
        return f"recall {recall:.3f} of {self.borders} border pixels; {100 * self.edges / self.pixels:.1f} % are edges"


def depth_edges(depth: Depth, tau: float) -> NDArray[np.bool_]:
    """Where the Sobel magnitude of min-max normalised, smoothed depth exceeds tau."""
    normalised = (depth - depth.min()) / max(float(np.ptp(depth)), 1e-6)
    smooth = ndimage.gaussian_filter(normalised, SIGMA)
    return np.hypot(ndimage.sobel(smooth, 0), ndimage.sobel(smooth, 1)) > tau


def same_class_borders(label_ids: NDArray[np.uint8], instance_ids: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Pixels beside a 4-neighbour of the same thing class but of another instance."""
    borders = np.zeros(label_ids.shape, bool)
    for axis in (0, 1):
        ahead = np.roll(label_ids, -1, axis), np.roll(instance_ids, -1, axis)
        thing = (label_ids >= FIRST_THING) & (label_ids <= LAST_THING)
        change = thing & (ahead[0] == label_ids) & (ahead[1] != instance_ids)
        change[(slice(None),) * axis + (-1,)] = False
        borders |= change | np.roll(change, 1, axis)
    return borders


def predict(network: SPIdepth, image: NDArray[np.uint8]) -> Depth:
    """Depth at image size: LANCZOS to the size of training, mean of both mirror images, bilinear back."""
    size = (network.config.width, network.config.height)
    small = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))
    pixels = torch.from_numpy(small.copy()).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad():
        depth = (network(pixels) + network(pixels.flip(3)).flip(3)) / 2
        return F.interpolate(depth, image.shape[:2], mode="bilinear", align_corners=False)[0, 0].numpy().astype(float)


def row_prior(views: Iterable[RenderedView]) -> Depth:
    """The better of two depths per row [H], fitted to the truth of training scenes."""
    truths = [view.depth.astype(float) for view in views]
    rows = [np.concatenate(row) for row in zip(*truths)]
    rows = [row[(row >= NEAREST_M) & (row <= FARTHEST_M)] for row in rows]
    candidates = []
    for fit in (np.median, least_relative_error):
        prior = np.array([fit(row) if len(row) else np.nan for row in rows])
        known = np.flatnonzero(~np.isnan(prior))
        candidates.append(np.interp(np.arange(len(prior)), known, prior[known]))
    return min(candidates, key=lambda prior: np.mean(_scores_of_rows(prior, truths).absolute_relative))


def least_relative_error(depths: Depth) -> float:
    """The constant of least mean ``|c - d| / d``: the median weighted by 1 / d."""
    ordered = np.sort(depths)
    weights = np.cumsum(1 / ordered)
    return float(ordered[np.searchsorted(weights, weights[-1] / 2)])


def _scores_of_rows(prior: Depth, truths: Iterable[Depth]) -> DepthScores:
    scores = DepthScores()
    for truth in truths:
        scores.add(np.broadcast_to(prior[:, None], truth.shape), truth)
    return scores


def _scenes(seeds: range) -> Iterator[RenderedView]:
    for seed in seeds:
        yield render(seed, SIZE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--weights", required=True, help="folder of the depth network")
    parser.add_argument("--scenes", type=int, default=64, help="unseen scenes to measure on")
    parser.add_argument("--prior-scenes", type=int, default=64, help="training scenes the row prior is fitted to")
    parser.add_argument("--tau", type=float, default=0.10, help="threshold of depth edges")
    parser.add_argument("--preview", type=Path, help="write a picture of the first scenes: photo, predicted, true")
    arguments = parser.parse_args()

    network = SPIdepth.from_pretrained(arguments.weights)
    prior = row_prior(_scenes(TRAINING_SEEDS[: arguments.prior_scenes]))
    scores = {name: DepthScores() for name in ("network", "best constant", "best row prior")}
    borders = {name: BorderScores() for name in ("predicted", "true")}
    rows, skies = [], []
    for view in _scenes(UNSEEN_SEEDS[: arguments.scenes]):
        truth = view.depth.astype(float)
        predicted = predict(network, view.image)
        scores["network"].add(predicted, truth)
        scores["best constant"].add(np.ones_like(truth), truth)
        scores["best row prior"].add(np.broadcast_to(prior[:, None], truth.shape), truth)
        skies.append(near_sky(predicted, truth, view.label_ids == SKY))
        wanted = same_class_borders(view.label_ids, view.instance_ids)
        everywhere = np.where(truth > 0, np.minimum(truth, FARTHEST_M), FARTHEST_M)
        borders["predicted"].add(predicted, wanted, arguments.tau)
        borders["true"].add(everywhere, wanted, arguments.tau)
        if len(rows) < 6:
            rows.append(np.hstack([view.image[::2, ::2], _grey(predicted), _grey(everywhere)]))
    print(f"{arguments.scenes} unseen scenes, {NEAREST_M:.0f}-{FARTHEST_M:.0f} m, scaled to the median of each image")
    for name, score in scores.items():
        print(f"  {name:<15}{score}")
    print(f"borders between instances of one class, depth edges at tau {arguments.tau:.2f}")
    for name, border in borders.items():
        print(f"  {name:<15}{border}")
    print(f"sky nearer than {NEAR_SKY_M:.0f} m: {100 * np.nanmean(skies):.1f} % of its pixels, mean over scenes")
    if arguments.preview:
        Image.fromarray(np.vstack(rows)).save(arguments.preview)


def _grey(depth: Depth) -> NDArray[np.uint8]:
    inverse = 1 / depth[::2, ::2]
    shown = 255 * inverse / np.percentile(inverse, 99)
    return np.repeat(np.clip(shown, 0, 255).astype(np.uint8)[:, :, None], 3, 2)


if __name__ == "__main__":
    main()
