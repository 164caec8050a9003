"""What is done to a batch before a network learns from it: objects pasted in, another size, other colours (CUPS, stage 2),
or labels of its own in place of the set's (stage 3).

Decision made here (ours): once the network is warm, the objects it finds by itself are copied within the batch it found
them in, by the weights before the step. CUPS keeps them from the batch before, which a training that goes on after a kill
would have to keep too.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from mbps_dataset.models.panoptic.network import PanopticNetwork
from mbps_dataset.training.colour_jitter import jitter_triplets
from mbps_dataset.training.panoptic.appearance import change_appearance
from mbps_dataset.training.panoptic.batch import LabelledBatch
from mbps_dataset.training.panoptic.copy_paste import CopyPasteSettings, random_copy_paste
from mbps_dataset.training.panoptic.resolution_jitter import draw_size, resize_batch, sizes_around
from mbps_dataset.training.panoptic.self_enhanced import objects_found
from mbps_dataset.training.panoptic.self_labels import self_label
from mbps_dataset.training.panoptic.settings import PanopticTrainingSettings
from mbps_dataset.training.panoptic.view_merging import TeacherSettings, predict_views


def changed_batch(
    batch: LabelledBatch, step: int, network: PanopticNetwork, settings: PanopticTrainingSettings
) -> LabelledBatch:
    """The batch as the network learns it at `step`, 0-based. Draws from torch's default generator."""
    if settings.copy_paste:
        warm = bool(settings.self_enhanced_after) and step >= settings.self_enhanced_after
        pasting = CopyPasteSettings(small_side_px=settings.copy_paste_side)
        batch = random_copy_paste(batch, torch_draws, pasting, sources=_found(batch, network) if warm else None)
    if settings.resolution_jitter:
        height, width = batch.images.shape[-2:]
        batch = resize_batch(batch, draw_size(torch_draws, sizes_around((height, width))))
    if settings.appearance == "cups":
        return LabelledBatch(change_appearance(batch.images, torch_draws), batch.targets)
    if settings.appearance == "colour":
        chosen = torch.rand(len(batch.targets)) < 0.5
        return LabelledBatch(jitter_triplets(batch.images[:, None], chosen)[:, 0], batch.targets)
    return batch


def self_labelled(batch: LabelledBatch, teacher: PanopticNetwork, settings: PanopticTrainingSettings) -> LabelledBatch:
    """The images of the batch with what the teacher says of them; the labels that they had do not enter."""
    looking = TeacherSettings(scales=settings.teacher_scales, least_score=settings.teacher_score)
    device, ids = next(teacher.parameters()).device, teacher.thing_ids
    targets = [self_label(predict_views(teacher, image.to(device), looking), ids) for image in batch.images]
    return LabelledBatch(batch.images, tuple(targets))


def torch_draws(count: int) -> NDArray[np.float32]:
    """Numbers in [0, 1) of torch's default generator, whose state checkpoints hold."""
    return torch.rand(count).numpy()


def _found(batch: LabelledBatch, network: PanopticNetwork) -> LabelledBatch:
    """What the network is sure of in the images of a batch, and their labels do not hold."""
    network.eval()
    predictions = network.predict(batch.images.to(next(network.parameters()).device))
    targets = [objects_found(each.panoptic, target) for each, target in zip(predictions, batch.targets, strict=True)]
    return LabelledBatch(batch.images, tuple(targets))
