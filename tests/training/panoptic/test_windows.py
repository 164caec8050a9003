"""Batches of windows: drawn from the seed, of one size, and not of void alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from mbps_dataset.errors import InputError
from mbps_dataset.training.panoptic.settings import PanopticTrainingSettings
from mbps_dataset.training.panoptic.windows import Windows
from tests.training.panoptic.tiny_network import samples


PLAIN = PanopticTrainingSettings(crop=(), mirror=0.0)


def drawn(settings, held=None, indices=(0, 1), seed=0):
    torch.manual_seed(seed)
    return Windows(samples(2) if held is None else held, settings).batch(indices)


def test_whole_images_as_they_are() -> None:
    batch = drawn(PLAIN)
    assert torch.equal(batch.images, torch.stack([each.image for each in samples(2)]) / 255)
    assert torch.equal(batch.targets[1].masks, samples(2)[1].target().masks)


def test_windows_come_from_the_seed() -> None:
    settings = replace(PLAIN, crop=(8, 12), mirror=0.5)
    one, again, other = (drawn(settings, indices=[0] * 8, seed=seed) for seed in (1, 1, 2))
    assert one.images.shape == (8, 3, 8, 12) and torch.equal(one.images, again.images)
    assert not torch.equal(one.images, other.images)
    assert all(torch.equal(a.semantic, b.semantic) for a, b in zip(one.targets, again.targets))


def test_mirroring_takes_the_labels_along() -> None:
    batch = drawn(replace(PLAIN, mirror=1.0))
    assert torch.equal(batch.images.flip(-1), drawn(PLAIN).images)
    assert torch.equal(batch.targets[0].semantic.flip(-1), drawn(PLAIN).targets[0].semantic)


def test_windows_of_void_alone_are_drawn_again() -> None:
    sample = samples(1)[0]
    semantic = torch.full_like(sample.semantic, 255)
    semantic[:, :10] = 0
    settings = replace(PLAIN, crop=(24, 10))
    shown = [
        (drawn(settings, [replace(sample, semantic=semantic)], [0], seed).targets[0].semantic != 255).any()
        for seed in range(40)
    ]
    assert sum(map(bool, shown)) > 30  # a single draw would show it 19 times of 31


def test_images_of_several_sizes_need_a_crop() -> None:
    held = [*samples(1), *samples(1, 20, 30)]
    with pytest.raises(InputError, match="images of 20 x 30 and of 24 x 40 pixels; set a crop"):
        drawn(PLAIN, held)
    assert drawn(replace(PLAIN, crop=(22, 36)), held).images.shape == (2, 3, 22, 36)


def test_what_is_read_ahead_is_read_once() -> None:
    read: list[int] = []

    class Counted(list):
        def __getitem__(self, index):
            read.append(index)
            return super().__getitem__(index)

    windows = Windows(Counted(samples(3)), PLAIN)
    first = windows.batch([0, 0, 1])
    assert torch.equal(first.images[0], first.images[1]) and sorted(read) == [0, 1]
    windows.look_ahead([2, 1])
    assert torch.equal(windows.batch([2]).images[0], samples(3)[2].image / 255)
    assert sorted(read) == [0, 1, 1, 2]
