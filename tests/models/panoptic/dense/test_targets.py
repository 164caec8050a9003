from __future__ import annotations

import torch

from mbps_dataset.models.panoptic import VOID, PanopticTarget
from mbps_dataset.models.panoptic.dense.targets import cell_positions, dense_targets


ROAD, CAR = 0, 1


def street() -> PanopticTarget:
    """16 × 24 pixels: a car at rows 4–11, columns 0–7, another pixel block of the class without a thing, a void block."""
    semantic = torch.full((16, 24), ROAD)
    semantic[4:12, :8] = CAR
    semantic[4:12, 12:16] = CAR  # stands still: nobody cut it out
    semantic[:, 20:] = VOID
    mask = torch.zeros(1, 16, 24, dtype=torch.bool)
    mask[0, 4:12, :8] = True
    return PanopticTarget(semantic, mask, torch.tensor([CAR]))


def test_cells_lie_in_the_middle_of_their_pixels():
    assert cell_positions(3, "cpu").tolist() == [1.5, 5.5, 9.5]


def test_the_maps_of_one_thing():
    maps = dense_targets([street()], thing_ids=[CAR], centre_sigma=2.0, device="cpu")
    assert maps.semantic[0].tolist() == [
        [ROAD] * 5 + [VOID], [CAR, CAR, ROAD, CAR, ROAD, VOID], [CAR, CAR, ROAD, CAR, ROAD, VOID], [ROAD] * 5 + [VOID]
    ]  # fmt: skip
    assert maps.offset_known[0].nonzero().tolist() == [[1, 0], [1, 1], [2, 0], [2, 1]]
    assert maps.offsets[0, :, 1, 0].tolist() == [2, 2] and maps.offsets[0, :, 2, 1].tolist() == [
        -2,
        -2,
    ]  # to (7.5, 3.5)
    heights = torch.exp(torch.tensor(-(2.0**2 + 2.0**2) / (2 * 2.0**2)))
    assert torch.allclose(maps.centres[0, 1:3, :2], heights) and (maps.centres[0, :, 4] < 0.01).all()


def test_the_centre_map_is_unknown_in_void_and_where_a_thing_class_has_no_thing():
    known = dense_targets([street()], thing_ids=[CAR], centre_sigma=2.0, device="cpu").centre_known[0]
    assert (~known).nonzero().tolist() == [[0, 5], [1, 3], [1, 5], [2, 3], [2, 5], [3, 5]]


def test_void_inside_a_thing_stays_unknown():
    one = street()
    one.semantic[4:8, :4] = VOID
    maps = dense_targets([one], thing_ids=[CAR], centre_sigma=2.0, device="cpu")
    assert not maps.offset_known[0, 1, 0] and not maps.centre_known[0, 1, 0] and maps.offset_known[0, 1, 1]
    assert maps.offsets[0, :, 1, 1].tolist() == [2, -2]  # its centre is that of the whole mask


def test_images_without_things_and_masks_without_pixels():
    empty = PanopticTarget(torch.full((8, 8), ROAD), torch.zeros(1, 8, 8, dtype=torch.bool), torch.tensor([CAR]))
    none = PanopticTarget(empty.semantic, empty.masks[:0], empty.class_ids[:0])
    maps = dense_targets([empty, none], thing_ids=[CAR], centre_sigma=2.0, device="cpu")
    assert maps.centre_known.all() and not maps.offset_known.any() and not maps.centres.any()


def test_a_thing_without_a_cell_of_its_own_still_has_a_centre():
    semantic, mask = torch.full((8, 8), ROAD), torch.zeros(1, 8, 8, dtype=torch.bool)
    mask[0, 4, 4] = True
    maps = dense_targets(
        [PanopticTarget(semantic, mask, torch.tensor([CAR]))], thing_ids=[CAR], centre_sigma=2.0, device="cpu"
    )
    assert maps.centres[0].argmax() == 3 and not maps.offset_known.any()
