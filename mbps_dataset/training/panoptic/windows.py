"""A step's batch: which images, which window of each, mirrored or not.

Decisions made here (ours):

* images are read by several threads, and those of the next batch while the network computes, since decoding takes long;
  everything random is drawn before and after that by one, in a fixed order, so that one seed gives one batch;
* a window that shows nothing but void teaches nothing: it is drawn again, at most `TRIES` times in all.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import torch

from mbps_dataset.errors import InputError
from mbps_dataset.models.panoptic.network import VOID
from mbps_dataset.training.panoptic.batch import LabelledBatch, labelled_batch
from mbps_dataset.training.panoptic.samples import PanopticSample
from mbps_dataset.training.panoptic.settings import PanopticTrainingSettings


TRIES = 5


class Windows:
    """Batches of windows of labelled images; `samples` may be read from disk on demand.

    Draws from torch's default generator.
    """

    def __init__(self, samples: Sequence[PanopticSample], settings: PanopticTrainingSettings) -> None:
        self.samples, self.settings = samples, settings
        self._readers = ThreadPoolExecutor(max(1, min(16, os.cpu_count() or 1)))
        self._coming: dict[int, Future[PanopticSample]] = {}

    def batch(self, indices: Sequence[int]) -> LabelledBatch:
        """One window of each of these samples. Raises `InputError` for images of several sizes without a crop."""
        self.look_ahead(indices)
        read = [self._coming[index].result() for index in indices]
        self._coming.clear()
        shown = [self._window(sample) for sample in read]
        if len(sizes := {tuple(sample.semantic.shape) for sample in shown}) > 1:
            (h, w), (other_h, other_w) = sorted(sizes)[:2]
            raise InputError(f"The set holds images of {h} x {w} and of {other_h} x {other_w} pixels; set a crop.")
        images = torch.stack([sample.image for sample in shown]).float() / 255
        return labelled_batch(images, [sample.target() for sample in shown])

    def look_ahead(self, indices: Sequence[int]) -> None:
        """Begin to read these samples, so that the next batch finds them there."""
        for index in indices:
            if index not in self._coming:
                self._coming[index] = self._readers.submit(self.samples.__getitem__, index)

    def _window(self, sample: PanopticSample) -> PanopticSample:
        window = sample
        for _ in range(TRIES if self.settings.crop else 0):
            height, width = self.settings.crop
            free = [have - want for have, want in zip(sample.semantic.shape, (height, width))]
            top, left = (int(torch.randint(max(room, 0) + 1, ())) for room in free)
            window = sample.window(top, left, height, width)
            if bool((window.semantic != VOID).any()):
                break
        return window.mirrored() if float(torch.rand(())) < self.settings.mirror else window
