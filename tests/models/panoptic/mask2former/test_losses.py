from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from mbps_dataset.models.panoptic import VOID, PanopticTarget
from mbps_dataset.models.panoptic.mask2former import Mask2FormerPanopticConfig
from mbps_dataset.models.panoptic.mask2former.losses import match, set_losses
from mbps_dataset.models.panoptic.mask2former.segments import Segments, cell_segments


ROAD, SKY, CAR, NONE = range(4)
CONFIG = Mask2FormerPanopticConfig(class_names=("road", "sky", "car"), thing_ids=(CAR,))


def street(*, standing: int = ROAD, void: bool = True) -> PanopticTarget:
    """6 × 8: sky, road, a car at the left, another block at the right of class `standing`, a column of void."""
    semantic = torch.full((6, 8), ROAD)
    semantic[:2], semantic[3:5, :3], semantic[3:5, 4:7] = SKY, CAR, standing
    if void:
        semantic[:, 7] = VOID
    masks = torch.zeros(1, 6, 8, dtype=torch.bool)
    masks[0, 3:5, :3] = True
    return PanopticTarget(semantic, masks, torch.tensor([CAR]))


def segments_of(target: PanopticTarget) -> Segments:
    return cell_segments(target, CONFIG.thing_ids, *target.semantic.shape)


def perfect(target: PanopticTarget) -> tuple[Tensor, Tensor]:
    """Logits of four queries: car, road, sky, and one on the block at the right that says car, too."""
    right = torch.zeros(6, 8, dtype=torch.bool)
    right[3:5, 4:7] = True
    masks = torch.stack([target.masks[0], target.semantic == ROAD, target.semantic == SKY, right])
    classes = torch.full((4, 4), -10.0)
    classes[range(4), [CAR, ROAD, SKY, CAR]] = 10.0
    return classes[None], (masks.float() * 40 - 20)[None]


def test_queries_are_matched_with_what_they_show():
    target = street()
    classes, masks = perfect(target)
    order = [3, 1, 0, 2]
    known = segments_of(target)
    pairs = match(classes[0, order], masks[0, order].flatten(1)[:, known.known], known, CONFIG)
    assert dict(zip(pairs.queries.tolist(), known.class_ids[pairs.segments].tolist())) == {1: ROAD, 2: CAR, 3: SKY}


def test_more_segments_than_queries_leave_some_untaught():
    target = street()
    classes, masks = perfect(target)
    known = segments_of(target)
    pairs = match(classes[0, :2], masks[0, :2].flatten(1)[:, known.known], known, CONFIG)
    assert pairs.queries.tolist() == [0, 1] and known.class_ids[pairs.segments].tolist() == [CAR, ROAD]


def test_the_losses_are_the_published_formulas():
    target = street(void=False)
    known = segments_of(target)
    torch.manual_seed(0)
    classes, masks = torch.randn(1, 3, 4), torch.randn(1, 3, 6, 8)  # as many queries as segments
    pairs = match(classes[0], masks[0].flatten(1), known, CONFIG)
    logits, wanted = masks[0].flatten(1)[pairs.queries], known.masks[pairs.segments]
    p = logits.sigmoid()
    dice = 1 - (2 * (p * wanted).sum(1) + 1) / (p.sum(1) + wanted.sum(1) + 1)
    cross = -classes[0].log_softmax(-1)[pairs.queries, known.class_ids[pairs.segments]].mean()
    losses = set_losses(classes, masks, [known], CONFIG)
    assert torch.isclose(losses["mask"], 5 * binary_cross_entropy_with_logits(logits, wanted))
    assert torch.isclose(losses["dice"], 5 * dice.mean()) and torch.isclose(losses["class"], 2 * cross)


@pytest.mark.parametrize(
    ("target", "punished"),
    [(street(standing=ROAD), True), (street(standing=CAR), False), (street(standing=VOID), False)],
    ids=["it is road", "of a thing class, without a thing", "void"],
)
def test_having_found_what_nobody_labelled_is_no_fault(target, punished):
    classes, masks = perfect(target)
    loss = set_losses(classes, masks, [segments_of(target)], CONFIG)["class"]
    assert (loss > 0.5) if punished else (loss < 1e-4)


def test_the_share_that_may_be_unknown_is_a_setting():
    target = street(standing=VOID)
    target.semantic[3:5, 4] = ROAD  # 2 of the 6 cells of the last query's mask
    for share, punished in ((0.5, False), (0.7, True)):
        loss = set_losses(*perfect(target), [segments_of(target)], replace(CONFIG, unknown_share=share))["class"]
        assert (loss > 0.5) == punished


def test_an_empty_query_is_told_to_be_no_object():
    target = street()
    classes, masks = perfect(target)
    masks[0, 3] = -20
    assert set_losses(classes, masks, [segments_of(target)], CONFIG)["class"] > 0.5


def test_masks_have_no_gradient_in_void_and_some_elsewhere():
    torch.manual_seed(0)
    classes, masks = torch.randn(2, 5, 4), torch.randn(2, 5, 6, 8, requires_grad=True)
    targets = [street(), street(standing=VOID)]
    losses = set_losses(classes, masks, [segments_of(target) for target in targets], CONFIG)
    for name in ("mask", "dice"):
        (gradient,) = torch.autograd.grad(losses[name], masks, retain_graph=True)
        taught = (gradient != 0).any(1)
        assert torch.equal(taught, torch.stack([target.semantic != VOID for target in targets])), name


def test_void_changes_no_loss():
    target = street()
    classes, masks = perfect(target)
    masks = masks + torch.randn(masks.shape, generator=torch.Generator().manual_seed(0))
    other = masks.clone()
    other[..., 7] = torch.randn(4, 6, generator=torch.Generator().manual_seed(1))
    first, second = (set_losses(classes, each, [segments_of(target)], CONFIG) for each in (masks, other))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_an_image_of_which_nothing_is_known_teaches_nothing():
    target = street()
    target.semantic[:] = VOID
    classes, masks = (torch.randn(shape, requires_grad=True) for shape in ((1, 5, 4), (1, 5, 6, 8)))
    losses = set_losses(classes, masks, [segments_of(target)], CONFIG)
    assert all(loss == 0 for loss in losses.values())
    for gradient in torch.autograd.grad(sum(losses.values()), (classes, masks)):
        assert not gradient.any()


def test_matching_counts_in_full_precision_under_autocast():
    target = street()
    known = segments_of(target)
    generator = torch.Generator().manual_seed(0)
    classes, masks = torch.randn(3, 4, generator=generator), 9 * torch.randn(3, len(known.known), generator=generator)
    alone = match(classes, masks[:, known.known], known, CONFIG)
    with torch.autocast("cpu", torch.bfloat16):
        cast = match(classes, masks[:, known.known], known, CONFIG)
        losses = set_losses(classes[None], masks.reshape(1, 3, 6, 8), [known], CONFIG)
    assert torch.equal(alone.segments, cast.segments) and all(loss.dtype == torch.float32 for loss in losses.values())
