"""What a panoptic network finds in labelled images while it is trained: panoptic quality, at the images' own size.

Against the labels of a set it says how far the network repeats them; against ground truth, how good it is. Pseudo-classes
are matched to true classes as `mbps eval` does. The numbers are for the log alone: nothing in training reads them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from mbps_dataset import taxonomy
from mbps_dataset.errors import InputError
from mbps_dataset.formats.image_segmentation import Labels
from mbps_dataset.formats.training_set import TrainingSet
from mbps_dataset.labelling.calibration import evenly_spaced
from mbps_dataset.metrics import PanopticQuality
from mbps_dataset.models.panoptic.network import VOID, PanopticNetwork
from mbps_dataset.scoring.label_set_labels import labels_of_truth
from mbps_dataset.sources import Source
from mbps_dataset.training.panoptic.samples import PanopticSample


MOST_IMAGES = 50
"""Images of a set that are measured on, evenly spaced."""


@dataclass(frozen=True)
class AgainstLabels:
    """Panoptic quality of a network's predictions against the labels of a set: ``pq``, ``pq_things``, ``pq_stuff``."""

    labelled: TrainingSet

    def __call__(self, network: PanopticNetwork) -> dict[str, float]:
        """Measure the network, which must have the set's classes."""
        things = self.labelled.things
        stuff = [k for k in range(len(self.labelled.class_names)) if k not in things]
        metric = PanopticQuality(things, stuff)
        for sample, predicted in _predictions(network, _shown(self.labelled)):
            metric.update(
                pred_semantic=predicted.semantic, pred_instance=predicted.instance,
                true_semantic=sample.semantic.numpy(), true_instance=sample.instance.numpy(),
            )  # fmt: skip
        return _told(metric)


@dataclass(frozen=True)
class AgainstTruth:
    """Panoptic quality over the 19 classes of Cityscapes against ground truth by image id, of at most `most` images."""

    labelled: TrainingSet
    truth: Mapping[str, Labels]
    most: int = MOST_IMAGES

    @classmethod
    def of(cls, labelled: TrainingSet, source: Source, most: int = MOST_IMAGES) -> AgainstTruth:
        """With the ground truth of the images' source. Raises `InputError` if it has none of them."""
        wanted = {sample.image_id for sample in _shown(labelled, most)}
        found = {}
        for split in source.splits() if source.has_truth else ():
            for frame in source.frames(split):
                if frame.image_id in wanted and frame.image_id not in found and frame.has_truth:
                    found[frame.image_id] = labels_of_truth(frame, 19)
        if missing := sorted(wanted - set(found)):
            raise InputError(
                f"{labelled.name}: {len(missing)} of {len(wanted)} images have no ground truth in {source.name}, e.g. "
                f"{missing[0]}; give a set whose images have it."
            )
        return cls(labelled, found, most)

    def __call__(self, network: PanopticNetwork) -> dict[str, float]:
        """Measure the network."""
        metric = self._empty()
        for predicted, true in self._pairs(network):
            metric.update(**predicted.as_prediction(), **true.as_truth())
        return _told(metric)

    def scores(self, network: PanopticNetwork) -> tuple[PanopticQuality, PanopticQuality]:
        """Metrics that hold every image: over the 19 classes, and of things as one class, 0, whatever class they were given."""
        metric, alone = self._empty(), PanopticQuality([_THING], [_NO_THING])
        for predicted, true in self._pairs(network):
            metric.update(**predicted.as_prediction(), **true.as_truth())
            alone.update(**_things_alone(predicted).as_prediction(), **_things_alone(true).as_truth())
        return metric, alone

    def _pairs(self, network: PanopticNetwork) -> Iterator[tuple[Labels, Labels]]:
        """What the network finds in each image, and its truth."""
        for sample, predicted in _predictions(network, _shown(self.labelled, self.most)):
            yield predicted, self.truth[sample.image_id]

    def _empty(self) -> PanopticQuality:
        """The metric of no image."""
        things, named = self.labelled.things, self.labelled.made_by.named
        stuff = [k for k in range(len(self.labelled.class_names)) if k not in things]
        return PanopticQuality(
            taxonomy.THINGS_19,
            taxonomy.STUFF_19,
            matching="none" if named else "hungarian",
            pseudo_things=None if named else things,
            pseudo_stuff=None if named else stuff,
        )


_THING, _NO_THING = 0, 1


def _things_alone(labels: Labels) -> Labels:
    """The same things as one class, and all else but void and crowds as another."""
    assert labels.instance is not None
    semantic = np.where(labels.instance > 0, _THING, np.where(labels.semantic == VOID, VOID, _NO_THING))
    if labels.crowd is not None:
        semantic[labels.crowd > 0] = VOID
    return Labels(labels.image_id, semantic.astype(np.uint8), labels.instance)


def _shown(labelled: TrainingSet, most: int = MOST_IMAGES) -> Sequence[PanopticSample]:
    return [labelled.samples[k] for k in evenly_spaced(len(labelled.samples), most)]


def _predictions(
    network: PanopticNetwork, samples: Sequence[PanopticSample]
) -> Iterator[tuple[PanopticSample, Labels]]:
    """Each image with what the network finds in it, one at a time."""
    device = next(network.parameters()).device
    for sample in samples:
        image = sample.image[None].to(device).float() / 255
        with torch.no_grad():
            panoptic = network.predict(image)[0].panoptic
        yield sample, Labels(sample.image_id, panoptic.semantic(VOID), panoptic.instance())


def _told(metric: PanopticQuality) -> dict[str, float]:
    """The three averages; one over no class at all is left out."""
    result = metric.compute()
    told = {"pq": result.pq, "pq_things": result.pq_things, "pq_stuff": result.pq_stuff}
    return {name: float(value) for name, value in told.items() if value == value}
