"""Train the demo's panoptic network from rendered stereo video, without a label, and write it into the package.

    python builder_scripts/train_demo_panoptic.py                      # at most two hours on two cores
    python builder_scripts/train_demo_panoptic.py --true-motion --output /tmp/ceiling

This is the record of how the shipped weights came to be, in two commands' worth of work:

1. *labels*: `mbps build --recipe demo-motion` on rendered stereo video of seeds in `TRAINING_SEEDS`: classes by the demo's
   own clusters, things where something moves by itself, void where a thing class shows no motion;
2. *network*: `mbps train panoptic` on them: the dense network, from a random start.

The renderer's truth is not read. ``--true-motion`` is for measuring only: true masks of what moves take the place of the
estimated ones (classes stay), which says what perfect motion would give; it is never written into the package.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch

from mbps_dataset.formats.training_set import open_training_set
from mbps_dataset.hub.builder import default_device
from mbps_dataset.labelling.labelling import Labelling
from mbps_dataset.labelset.build import build
from mbps_dataset.models.networks import WEIGHTS_ROOT
from mbps_dataset.models.panoptic.dense.config import DenseConfig
from mbps_dataset.models.panoptic.dense.network import DensePanoptic
from mbps_dataset.models.panoptic.record import TrainingRecord
from mbps_dataset.named_recipes import RECIPES
from mbps_dataset.records import DecodedRow, decode
from mbps_dataset.sources.rendered import SceneFrame, ScenesSource
from mbps_dataset.store import Store
from mbps_dataset.training.checkpointing import seeded
from mbps_dataset.training.panoptic.samples import PanopticSample, labelled_sample, sample_of_row
from mbps_dataset.training.panoptic.settings import PanopticTrainingSettings
from mbps_dataset.training.panoptic.trainer import Records, train_panoptic


FIRST_SEED = 500_000  # in `TRAINING_SEEDS`, apart from the scenes that the other shipped networks saw
SETTINGS = PanopticTrainingSettings(steps=3000, batch_size=8, learning_rate=2e-3, copy_paste=True, average_decay=0.99)


def labelled(count: int, work: Path) -> tuple[Labelling, list[DecodedRow]]:
    """Step 1: `count` scenes labelled by the recipe `demo-motion`, kept in `work`."""
    source = ScenesSource(count, 0, first_seed=FIRST_SEED)
    label_set = Labelling(RECIPES["demo-motion"], source, Store(work / "labels/stages"))
    build(label_set, work / "labels")
    rows = [decode(row) for _, row in label_set.rows("train", range(count))]
    return label_set, rows


def with_true_motion(row: DecodedRow, frame: SceneFrame, things: Sequence[int]) -> PanopticSample:
    """A sample whose things are the true masks of what moves, each of the thing class that most of it has.

    What nothing is known of stays void, and so do the pixels of estimated things that do not move.
    """
    truth, semantic = frame.truth(), np.where(row.instance > 0, 255, row.semantic)
    instance, class_ids = np.zeros(semantic.shape, np.int32), list[int]()
    assert truth.instance_ids is not None
    for number in sorted(truth.moving_ids or ()):
        mask = truth.instance_ids == number
        votes = np.bincount(row.semantic[mask], minlength=256)[list(things)]
        class_ids.append(things[int(votes.argmax())])
        instance[mask], semantic[mask] = len(class_ids), class_ids[-1]
    assert row.image is not None
    return labelled_sample(row.image_id, row.image, semantic, instance, class_ids)


def main() -> None:
    """Label, train, and save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", type=int, default=400, help="training scenes")
    parser.add_argument("--steps", type=int, default=SETTINGS.steps)
    parser.add_argument("--work", type=Path, default=Path("build/demo_panoptic"), help="labels and checkpoints")
    parser.add_argument("--output", type=Path, default=WEIGHTS_ROOT / "panoptic")
    parser.add_argument("--true-motion", action="store_true", help="for measuring only: true masks of what moves")
    parser.add_argument("--threads", type=int, default=2, help="the result depends on it in the last digits")
    arguments = parser.parse_args()
    if arguments.true_motion and arguments.output.resolve().is_relative_to(WEIGHTS_ROOT):
        parser.error("--true-motion uses labels and is never shipped; give another --output.")
    torch.set_num_threads(arguments.threads)
    label_set, rows = labelled(arguments.scenes, arguments.work)
    learned = open_training_set(str(arguments.work / "labels"))
    settings = replace(SETTINGS, steps=arguments.steps)
    made_by = learned.made_by
    if arguments.true_motion:
        made_by = replace(made_by, ground_truth_used=("true masks of what moves", *made_by.ground_truth_used))
    record = TrainingRecord(made_by, asdict(settings))
    config = DenseConfig(
        class_names=learned.class_names,
        thing_ids=learned.things,
        supervision=f"{made_by.in_words()}; python builder_scripts/train_demo_panoptic.py --scenes {arguments.scenes} "
        f"--steps {arguments.steps}",
    )
    samples = [
        with_true_motion(row, frame, learned.things) if arguments.true_motion else sample_of_row(row)
        for row, frame in zip(rows, label_set.frames("train"), strict=True)
        if isinstance(frame, SceneFrame)
    ]
    with seeded(settings.seed):
        network = DensePanoptic(config)
    network.record = record
    kind = "true_motion" if arguments.true_motion else "network"
    train_panoptic(network.to(default_device()), samples, settings, records=Records(arguments.work / kind))
    network.cpu().half().save_pretrained(arguments.output)
    print(f"written: {arguments.output}")


if __name__ == "__main__":
    main()
