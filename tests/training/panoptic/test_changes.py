"""What is done to a batch is what the settings say, from torch's generator."""

from __future__ import annotations

from dataclasses import replace

import torch

from mbps_dataset.training.panoptic.batch import labelled_batch
from mbps_dataset.training.panoptic.changes import changed_batch
from mbps_dataset.training.panoptic.settings import PanopticTrainingSettings
from tests.training.panoptic.tiny_network import TinyPanoptic, samples


PLAIN = PanopticTrainingSettings(appearance="none")
PASTE = replace(PLAIN, copy_paste=True, copy_paste_side=2)


def batch(count: int = 3, height: int = 64, width: int = 96):
    shown = samples(count, height, width)
    return labelled_batch(torch.stack([each.image for each in shown]) / 255, [each.target() for each in shown])


def changed(settings, step=0, network=None, seed=0):
    torch.manual_seed(seed)
    return changed_batch(batch(), step, network or TinyPanoptic(), settings)


def test_nothing() -> None:
    assert torch.equal(changed(PLAIN).images, batch().images)


def test_colours_change_and_labels_do_not() -> None:
    for appearance in ("colour", "cups"):
        one = changed(replace(PLAIN, appearance=appearance))
        assert not torch.equal(one.images, batch().images) and 0 <= one.images.min() and one.images.max() <= 1
        assert torch.equal(one.targets[0].semantic, batch().targets[0].semantic)
        assert torch.equal(one.images, changed(replace(PLAIN, appearance=appearance)).images)


def test_objects_are_pasted() -> None:
    pasted = changed(PASTE)
    assert sum(len(target.masks) for target in pasted.targets) > sum(len(target.masks) for target in batch().targets)
    assert not torch.equal(pasted.images, changed(PASTE, seed=1).images)


def test_after_the_warm_up_only_what_is_new_is_pasted() -> None:
    warm = replace(PASTE, self_enhanced_after=5)
    assert torch.equal(changed(warm, step=4).images, changed(PASTE).images)
    assert torch.equal(
        changed(warm, step=5).images, batch().images
    )  # the network is sure of nothing: 0.5 is not above 0.75

    class Sure(TinyPanoptic):
        def _one(self, probabilities):
            one = super()._one(probabilities)
            segments = tuple(replace(segment, score=1.0) for segment in one.panoptic.segments)
            return replace(one, panoptic=replace(one.panoptic, segments=segments))

    sure = Sure()
    sure.classes.bias.data[1] = 50.0  # one large car everywhere, which no label holds
    found = changed(warm, step=5, network=sure)
    assert len(found.targets[0].masks) > len(batch().targets[0].masks) or not torch.equal(found.images, batch().images)
    assert {k for target in found.targets for k in target.class_ids.tolist()} == {1}


def test_another_size_every_batch() -> None:
    sizes = {tuple(changed(replace(PLAIN, resolution_jitter=True), seed=seed).images.shape[-2:]) for seed in range(8)}
    assert len(sizes) > 1 and all(height % 32 == 0 and width % 32 == 0 for height, width in sizes)
