from __future__ import annotations

import torch

from mbps_dataset.models.panoptic import VOID, PanopticTarget
from mbps_dataset.models.panoptic.mask2former.segments import cell_segments


ROAD, SKY, CAR = range(3)


def street() -> PanopticTarget:
    """4 × 6 pixels, as many cells: a car, a pixel of the class without a thing, two void ones."""
    semantic = torch.tensor(
        [[SKY] * 6, [CAR, CAR, ROAD, CAR, ROAD, VOID], [CAR, CAR, ROAD, ROAD, ROAD, VOID], [ROAD] * 6]
    )
    masks = torch.zeros(2, 4, 6, dtype=torch.bool)
    masks[0, 1:3, :2] = True
    return PanopticTarget(semantic, masks, torch.tensor([CAR, CAR]))


def test_things_come_first_then_stuff_and_empty_ones_are_left_out():
    segments = cell_segments(street(), [CAR], 4, 6)
    assert segments.class_ids.tolist() == [CAR, ROAD, SKY] and segments.masks.shape == (3, 22)
    assert segments.masks.sum(1).tolist() == [4, 11, 6]  # the unlabelled car is of none of them
    assert (~segments.known).nonzero().flatten().tolist() == [11, 17]
    assert segments.unsettled.nonzero().flatten().tolist() == [9, 11, 17]


def test_a_thing_covers_the_stuff_below_it_and_void_covers_both():
    target = street()
    target.masks[1, 3] = True
    target.semantic[3, 0] = VOID
    segments = cell_segments(target, [CAR], 4, 6)
    assert segments.class_ids.tolist() == [CAR, CAR, ROAD, SKY] and segments.masks.sum(1).tolist() == [4, 5, 5, 6]


def test_cells_take_the_pixel_in_their_middle():
    segments = cell_segments(street(), [CAR], 2, 3)
    assert segments.known.all() is not None and segments.known.tolist() == [True, True, False, True, True, True]
    assert segments.class_ids.tolist() == [CAR, ROAD] and segments.masks.tolist() == [[1, 0, 0, 0, 0], [0, 0, 1, 1, 1]]


def test_nothing_known_has_no_segments():
    target = street()
    target.semantic[:] = VOID
    segments = cell_segments(target, [CAR], 4, 6)
    assert segments.masks.shape == (0, 0) and segments.unsettled.all()
