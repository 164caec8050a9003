"""What is measured while training is the panoptic quality that the metric takes of the same predictions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from mbps_dataset.errors import InputError
from mbps_dataset.formats.training_set import LabelledImages, TrainingSet, _Entry
from mbps_dataset.models.panoptic import PanopticPrediction
from mbps_dataset.models.panoptic.record import LearnedFrom
from mbps_dataset.scoring.while_training import MOST_IMAGES, AgainstLabels, AgainstTruth
from mbps_dataset.sources import ScenesSource
from mbps_dataset.stages.instances.types import Instances
from mbps_dataset.stages.panoptic import Panoptic
from mbps_dataset.training.panoptic.samples import PanopticSample, labelled_sample
from tests.training.panoptic.tiny_network import TinyPanoptic, samples


FROM = LearnedFrom("demo", "scenes", ("validation",), 1, "", "", "", False, "apache-2.0", {}, ())


def held(given: list[PanopticSample], names=("road", "car", "sky"), things=(1,), named=False) -> TrainingSet:
    entries = [_Entry(each.image_id, lambda each=each: each) for each in given]
    return TrainingSet("set", names, things, LabelledImages(entries), replace(FROM, named=named))


class Knowing(TinyPanoptic):
    """Says what it was told of the images, in the order they come; every third class is left out with `blind`."""

    def __init__(self, told: list[PanopticSample], things: set[int], blind: bool = False) -> None:
        super().__init__()
        self.told, self.things_told, self.blind, self.seen = told, things, blind, 0

    def predict(self, images):
        sample = self.told[self.seen % len(self.told)]
        self.seen += 1
        semantic, instance = sample.semantic.numpy(), sample.instance.numpy()
        ids, classes = np.zeros(semantic.shape, np.int32), []
        for k in np.unique(semantic[semantic != 255]).tolist():
            parts = [instance == n for n in np.unique(instance[(semantic == k) & (instance > 0)])]
            for part in parts if k in self.things_told else [semantic == k]:
                if not (self.blind and k in self.things_told):
                    classes.append(k)
                    ids[part & (semantic == k)] = len(classes)
        isthing = [k in self.things_told for k in classes]
        panoptic = Panoptic.from_map(ids, classes, isthing, [1.0] * len(classes))
        return [PanopticPrediction(panoptic, torch.zeros(3, 1, 1), Instances.empty(semantic.shape))]


def test_against_labels() -> None:
    given = samples(2)
    assert AgainstLabels(held(given))(Knowing(given, {1})) == {"pq": 1.0, "pq_things": 1.0, "pq_stuff": 1.0}
    blind = AgainstLabels(held(given))(Knowing(given, {1}, blind=True))
    assert blind == {"pq": pytest.approx(2 / 3), "pq_things": 0.0, "pq_stuff": 1.0}


def test_many_images_are_measured_on_some() -> None:
    network = Knowing(samples(1), {1})
    AgainstLabels(held(samples(1) * (MOST_IMAGES + 30)))(network)
    assert network.seen == MOST_IMAGES


def test_against_ground_truth_clusters_are_matched() -> None:
    from mbps_dataset.formats.class_tables import LABEL_ID_TABLES

    source = ScenesSource(train=0, validation=2, height=64, width=128)
    given = []
    for frame in source.frames("validation"):
        truth = frame.truth()
        classes = LABEL_ID_TABLES[19][truth.label_ids]
        ids = np.where(truth.instance_ids >= 1000, truth.instance_ids, 0)
        numbers = [n for n in np.unique(ids) if n]
        instance = sum((k + 1) * (ids == n) for k, n in enumerate(numbers)) + np.zeros_like(ids)
        shifted = np.where(classes == 255, 255, (classes + 7) % 19)  # clusters in another order than classes
        class_ids = [int(shifted[ids == n][0]) for n in numbers]
        given.append(labelled_sample(frame.image_id, frame.image(), shifted, instance, class_ids))
    things = {(k + 7) % 19 for k in range(11, 19)}
    clusters = held(given, tuple(f"pseudo-class {k}" for k in range(19)), tuple(sorted(things)))
    told = AgainstTruth.of(clusters, source)(Knowing(given, things))
    assert told["pq_stuff"] > 0.99 and told["pq"] > 0.9
    stranger = held([replace(given[0], image_id="elsewhere")])
    with pytest.raises(
        InputError,
        match="1 of 1 images have no ground truth in scenes, e.g. elsewhere; give a set whose images have it",
    ):
        AgainstTruth.of(stranger, source)


def test_things_are_found_whatever_their_class() -> None:
    source = ScenesSource(train=0, validation=1, height=64, width=128)
    frame = source.frames("validation")[0]
    truth = frame.truth()
    ids = np.where(truth.instance_ids >= 1000, truth.instance_ids, 0)
    numbers = [n for n in np.unique(ids) if n]
    instance = sum((k + 1) * (ids == n) for k, n in enumerate(numbers)) + np.zeros_like(ids)
    semantic = np.where(ids > 0, 1, 0)  # every thing is called a car, and all else road
    given = [labelled_sample(frame.image_id, frame.image(), semantic, instance, [1] * len(numbers))]
    quality, things = AgainstTruth.of(held(given), source).scores(Knowing(given, {1}))
    alone = things.compute().per_class[0]
    assert (alone["tp"], alone["fp"], alone["fn"]) == (len(numbers), 0, 0)
    assert quality.compute().pq < 1
    nothing = AgainstTruth.of(held(given), source).scores(Knowing(given, {1}, blind=True))[1]
    missed = nothing.compute().per_class[0]
    assert missed["tp"] == 0 and missed["fn"] == len(numbers)
