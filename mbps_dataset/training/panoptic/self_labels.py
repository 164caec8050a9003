"""Self-labels: what a teacher's prediction teaches the student (CUPS, stage 3).

Things are those of the panoptic map. A pixel's class counts where its probability is above a share of the highest that
this class reaches anywhere in the image, so that hard classes are labelled, too; of the classes that count the most
probable one is taken, and where none does the pixel is void (Eq. 5 of the paper ignores a pixel whose most probable
class fails; the code, as here, takes the next).

Decisions made here; ``reference=True`` leaves both out:

* a pixel of a thing has the class of that thing (the code leaves it what the class probabilities say);
* a pixel of a thing class that no thing holds is void: what is there is not known.
"""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor

from mbps_dataset.models.panoptic.network import VOID, PanopticPrediction, PanopticTarget
from mbps_dataset.training.panoptic.self_enhanced import labels_of


def confident_classes(probabilities: Tensor, share: float = 0.5) -> Tensor:
    """Class per pixel int64 [H, W] of `probabilities` [K, H, W], `VOID` where no class is above its threshold.

    The threshold of class k is `share` times its highest probability in the image. Raises `ValueError` for a share
    outside [0, 1].
    """
    if not 0 <= share <= 1:
        raise ValueError(f"Expected a share of the highest probability in [0, 1], but got {share}.")
    highest = probabilities.flatten(1).amax(1)[:, None, None]
    counting = probabilities > share * highest
    best = torch.where(counting, probabilities, -1.0).argmax(0)
    return torch.where(counting.any(0), best, VOID)


def self_label(
    prediction: PanopticPrediction, thing_ids: Collection[int], *, share: float = 0.5, reference: bool = False
) -> PanopticTarget:
    """The label that a prediction gives its own image; `thing_ids` the classes of things.

    With `reference`, class 0 of the probabilities is any thing and `thing_ids` has no effect.
    """
    things = labels_of(prediction.panoptic)
    semantic = confident_classes(prediction.semantic_probabilities, share).to(things.semantic.device)
    if not reference:
        held = things.masks.any(0)
        loose = torch.isin(semantic, torch.tensor(sorted(thing_ids), dtype=semantic.dtype))
        semantic = torch.where(held, things.semantic, semantic.masked_fill(loose, VOID))
    return PanopticTarget(semantic, things.masks, things.class_ids)
