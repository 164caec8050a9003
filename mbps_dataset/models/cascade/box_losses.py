"""What a stage of the cascade learns from: class and box of every proposal of a batch.

Per stage, over the N proposals of all images, with drop weights d and codes δ:

    class = 1/N Σ d · CE(target, softmax)        box = 1/N Σ over objects |δ − δ*|₁

CuVLER (Arica et al., CVPR 2024) trains with scores p of its pseudo-masks: the target of an object's proposal is p for its class and
1 − p for background, a soft distribution and no weight, and its box counts p times. The published code of its cascade does not run
beyond the first stage; here later stages take the score of the object they are matched to, which its names suggest.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from mbps_dataset.models.cascade.boxes import Weights, encode_boxes


@dataclass(frozen=True, eq=False)
class MatchedProposals:
    """R proposals of one image and what each is matched to.

    `boxes` [R, 4]; `classes` int64 [R], the number of things where a proposal is background; `objects` int64 [R], which object of
    the image, 0 where it has none; `object_boxes` [R, 4], its box, zeros where there is none; `certainty` [R] or None: the score of
    its pseudo-mask.
    """

    boxes: Tensor
    classes: Tensor
    objects: Tensor
    object_boxes: Tensor
    certainty: Tensor | None = None

    @staticmethod
    def joined(parts: list[MatchedProposals]) -> MatchedProposals:
        """The proposals of all images, one after the other."""
        certainties = [part.certainty for part in parts if part.certainty is not None]
        return MatchedProposals(
            torch.cat([part.boxes for part in parts]),
            torch.cat([part.classes for part in parts]),
            torch.cat([part.objects for part in parts]),
            torch.cat([part.object_boxes for part in parts]),
            torch.cat(certainties) if len(certainties) == len(parts) else None,
        )


def class_loss(
    logits: Tensor, classes: Tensor, *, weights: Tensor | None = None, certainty: Tensor | None = None
) -> Tensor:
    """Cross-entropy, a scalar: mean over N proposals of `weights` [N] times each one's; 0 without proposals.

    `logits` [N, T + 1], `classes` int64 [N], T = background. With `certainty` [N] in [0, 1] an object's target is soft.
    """
    if not len(logits):
        return logits.sum() * 0
    logits = logits.float()
    if certainty is None:
        each = functional.cross_entropy(logits, classes, reduction="none")
    else:
        background = logits.shape[1] - 1
        share = torch.where(classes == background, torch.ones_like(certainty), certainty)
        logs = functional.log_softmax(logits, dim=1)
        each = -share * logs.gather(1, classes[:, None])[:, 0] - (1 - share) * logs[:, background]
    return (each if weights is None else weights * each).mean()


def box_loss(codes: Tensor, matched: MatchedProposals, *, things: int, code_weights: Weights) -> Tensor:
    """Sum over objects' proposals of |δ − δ*|₁, times its certainty if there is one, divided by the number of all: a scalar.

    `codes` [N, 4] of the N proposals `matched`, whose classes below `things` are objects.
    """
    objects = matched.classes < things
    wanted = encode_boxes(matched.boxes[objects], matched.object_boxes[objects], code_weights)
    each = (codes[objects].float() - wanted).abs().sum(dim=1)
    if matched.certainty is not None:
        each = each * matched.certainty[objects]
    return each.sum() / max(len(codes), 1)
