"""What does the demo's panoptic network find on scenes it has never seen, next to the labels it learned from?

    python builder_scripts/measure_demo_panoptic.py                       # 60 scenes, about 20 minutes on one core
    python builder_scripts/measure_demo_panoptic.py --weights FOLDER --scenes 10

Three rows, made in one run on the same rendered scenes: the recipe `demo` (single images), the recipe `demo-motion` (stereo
video; the labels that the network learned from are of its kind), and the network's predictions (single images). Printed are

* cars found: cars of at least 500 pixels whose best predicted thing, of any class, has IoU above 0.5; and those of them
  that stand still, which no motion shows;
* false things an image: predicted things that overlap no true thing with IoU above 0.5;
* PQ, PQ of things and of stuff in percent: 19 classes, clusters named by the Hungarian method, convention coco.

Names are given from the renderer's truth: this is a measurement, and nothing is trained or chosen here.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from mbps_dataset import taxonomy
from mbps_dataset.formats.image_segmentation import cityscapes_labels
from mbps_dataset.labelling.labelling import Labelling
from mbps_dataset.metrics import PanopticQuality
from mbps_dataset.models.networks import WEIGHTS_ROOT
from mbps_dataset.models.panoptic.loading import load_panoptic
from mbps_dataset.models.panoptic.network import PanopticNetwork
from mbps_dataset.named_recipes import RECIPES
from mbps_dataset.records import decode
from mbps_dataset.scenes.vehicles import CAR
from mbps_dataset.sources.rendered import SceneFrame, ScenesSource
from mbps_dataset.store import Store


FIRST_SEED = 8_000_000
"""Of a source whose validation scenes nothing was trained or chosen on: seeds from 9,000,000."""
LEAST_PX, LEAST_IOU = 500, 0.5

Labels = tuple[NDArray[np.integer], NDArray[np.integer]]  # classes and things [H, W], 0 no thing


@dataclass
class Found:
    """One row of the table: cars by whether they were found, false things of each image, and panoptic quality."""

    quality: PanopticQuality
    moving: list[bool] = field(default_factory=list)
    standing: list[bool] = field(default_factory=list)
    false_things: list[int] = field(default_factory=list)

    def add(self, labels: Labels, frame: SceneFrame) -> None:
        """One image."""
        semantic, instance = labels
        truth = frame.truth()
        assert truth.instance_ids is not None
        best, false = best_overlaps(instance, np.where(truth.instance_ids >= 1000, truth.instance_ids, 0))
        for number, overlap in best.items():
            large = np.count_nonzero(truth.instance_ids == number) >= LEAST_PX
            if number // 1000 == CAR and large:
                kind = self.moving if number in (truth.moving_ids or ()) else self.standing
                kind.append(overlap > LEAST_IOU)
        self.false_things.append(false)
        named = cityscapes_labels(truth.label_ids, truth.instance_ids, taxonomy.LABEL_ID_TO_TRAIN_ID, frame.image_id)
        self.quality.update(
            semantic, instance, named.semantic, named.instance, true_crowd=named.crowd, image_id=frame.image_id
        )

    def row(self, name: str) -> str:
        """A line of the table."""
        result, cars = self.quality.compute(), self.moving + self.standing
        quality = " / ".join(f"{100 * value:.1f}" for value in (result.pq, result.pq_things, result.pq_stuff))
        return f"| {name} | {_share(cars)} | {_share(self.standing)} | {np.mean(self.false_things):.1f} | {quality} |"


def _share(hits: Sequence[bool]) -> str:
    return f"{sum(hits)} of {len(hits)} ({sum(hits) / max(len(hits), 1):.0%})"


def best_overlaps(found: NDArray[np.integer], true: NDArray[np.integer]) -> tuple[dict[int, float], int]:
    """IoU of each true thing's best predicted one, by id, and how many predicted ones overlap none above 0.5."""
    pairs, areas = np.unique(np.stack([found.ravel(), true.ravel()]), axis=1, return_counts=True)
    found_area, true_area = (dict(zip(*np.unique(ids, return_counts=True))) for ids in (found, true))
    best = {int(number): 0.0 for number in true_area if number}
    of_found = {int(number): 0.0 for number in found_area if number}
    for (one, other), area in zip(pairs.T.tolist(), areas.tolist()):
        if one and other:
            overlap = area / (found_area[one] + true_area[other] - area)
            best[other], of_found[one] = max(best[other], overlap), max(of_found[one], overlap)
    return best, sum(overlap <= LEAST_IOU for overlap in of_found.values())


def labels_of_recipe(name: str, source: ScenesSource, folder: Path) -> tuple[Iterable[Labels], Sequence[int]]:
    """The labels of a recipe on the scenes, and which pseudo-classes are its things."""
    label_set = Labelling(RECIPES[name], source, Store(folder / name))
    frames = label_set.frames("validation")
    label_set.prepare({"validation": range(len(frames))})
    things = [place for place, each in enumerate(label_set.calibration().classes) if each.isthing]

    def rows() -> Iterable[Labels]:
        for _, row in label_set.rows("validation", range(len(frames))):
            decoded = decode(row)
            yield decoded.semantic, decoded.instance

    return rows(), things


def labels_of_network(network: PanopticNetwork, frames: Sequence[SceneFrame]) -> Iterable[Labels]:
    """The network's predictions."""
    for frame in frames:
        image = torch.from_numpy(np.array(frame.image())).permute(2, 0, 1)[None].float() / 255
        panoptic = network.predict(image)[0].panoptic
        yield panoptic.semantic(taxonomy.VOID), panoptic.instance()


def measured(
    labels: Iterable[Labels], frames: Sequence[SceneFrame], classes: int, things: Iterable[int], name: str
) -> Found:
    """All scenes of one row. `classes` pseudo-classes, of which `things`."""
    thing_ids = set(things)
    quality = PanopticQuality(
        taxonomy.THINGS_19, taxonomy.STUFF_19, pseudo_things=sorted(thing_ids),
        pseudo_stuff=sorted(set(range(classes)) - thing_ids), matching="hungarian",
    )  # fmt: skip
    found = Found(quality)
    for each, frame in tqdm(zip(labels, frames, strict=True), desc=name, total=len(frames)):
        found.add(each, frame)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", default=str(WEIGHTS_ROOT / "panoptic"), help="folder of the network")
    parser.add_argument("--scenes", type=int, default=60)
    parser.add_argument("--height", type=int, default=512)
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--recipes", nargs="*", default=["demo", "demo-motion"], help="recipes beside the network")
    parser.add_argument(
        "--work", type=Path, default=Path("build/measure_demo_panoptic"), help="stage results are kept here"
    )
    arguments = parser.parse_args()
    source = ScenesSource(0, arguments.scenes, arguments.height, arguments.width, FIRST_SEED)
    frames, rows = source.frames("validation"), list[str]()
    for name in arguments.recipes:
        labels, things = labels_of_recipe(name, source, arguments.work)
        rows.append(measured(labels, frames, RECIPES[name].clusters.count, things, name).row(f"recipe `{name}`"))
    network = load_panoptic(arguments.weights)
    predicted = measured(
        labels_of_network(network, frames), frames, len(network.class_names), network.thing_ids, "network"
    )
    rows.append(predicted.row("network"))
    print(f"\n{len(frames)} scenes of {arguments.height}x{arguments.width}, seeds from {frames[0].seed}\n")
    print(
        "| labels | cars found | of them standing | false things an image | PQ / things / stuff |\n|---|---|---|---|---|"
    )
    print("\n".join(rows))


if __name__ == "__main__":
    main()
