"""Hand-made maps in, segments out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from mbps_dataset.models.panoptic.dense import DenseConfig
from mbps_dataset.models.panoptic.dense.decoding import decode, find_centres, group_pixels


ROAD, SKY, CAR, BUS = range(4)
CONFIG = DenseConfig(
    class_names=("road", "sky", "car", "bus"), thing_ids=(CAR, BUS), min_thing_area=16, min_stuff_area=40, reach=6.0,
    score_threshold=0.2,
    thing_threshold=0.5,
)  # fmt: skip


def maps() -> tuple[Tensor, Tensor, Tensor]:
    """32 × 48 pixels: road with sky above, two cars side by side; probabilities, heights by cell, offsets."""
    semantic = torch.full((32, 48), ROAD)
    semantic[:8] = SKY
    semantic[12:28, 8:40] = CAR
    probabilities = one_hot(semantic, 4).permute(2, 0, 1).float()
    heights = torch.zeros(8, 12)
    heights[4, 3], heights[4, 7] = 0.9, 0.5
    rows, columns = torch.meshgrid(torch.arange(32.0), torch.arange(48.0), indexing="ij")
    offsets = torch.stack([17.5 - rows, torch.where(columns < 24, 13.5, 29.5) - columns])
    return probabilities, heights, offsets


def test_two_touching_cars_come_apart():
    prediction = decode(*maps(), CONFIG)
    segments = prediction.panoptic.segments
    assert [(each.class_id, each.isthing, each.area, each.bbox) for each in segments] == [
        (CAR, True, 256, (8, 12, 16, 16)), (CAR, True, 256, (24, 12, 16, 16)),
        (ROAD, False, 24 * 48 - 512, (0, 8, 48, 24)), (SKY, False, 8 * 48, (0, 0, 48, 8)),
    ]  # fmt: skip
    assert np.allclose([each.score for each in segments], [0.9, 0.5, 1, 1])
    assert np.allclose(prediction.instances.scores, [0.9, 0.5])
    assert (prediction.instances.masks().any(0) == (maps()[0][CAR] == 1).numpy()).all()


def test_a_thing_of_low_score_is_void_and_still_told():
    prediction = decode(*maps(), replace(CONFIG, score_threshold=0.6))
    assert [each.class_id for each in prediction.panoptic.segments] == [CAR, ROAD, SKY]
    assert (prediction.panoptic.segment_map[12:28, 24:40] == 0).all() and len(prediction.instances) == 2


def test_the_class_is_that_of_most_pixels_and_the_score_that_of_being_a_thing():
    probabilities, heights, offsets = maps()
    probabilities[:, 12:28, 8:24] = torch.tensor([0.1, 0.0, 0.4, 0.5])[:, None, None]
    probabilities[:, 12:18, 8:24] = torch.tensor([0.0, 0.0, 1.0, 0.0])[:, None, None]
    segments = decode(probabilities, heights, offsets, CONFIG).panoptic.segments
    bus = next(each for each in segments if each.class_id == BUS)
    assert bus.area == 256 and np.isclose(bus.score, 0.9 * (0.9 * 10 + 1.0 * 6) / 16)


def test_thing_classes_share_one_kind_of_thing():
    """No single thing class is the most probable one, but together they are."""
    probabilities, heights, offsets = maps()
    probabilities[:, 12:28, 8:40] = torch.tensor([0.4, 0.0, 0.35, 0.25])[:, None, None]
    segments = decode(probabilities, heights, offsets, CONFIG).panoptic.segments
    assert [each.class_id for each in segments] == [CAR, CAR, ROAD, SKY]


def test_what_points_nowhere_is_void():
    probabilities, heights, offsets = maps()
    heights[4, 7] = 0
    panoptic = decode(probabilities, heights, offsets, CONFIG).panoptic
    assert (panoptic.segment_map[12:28, 24:40] == 0).all() and panoptic.segments[0].area == 256
    whole = decode(probabilities, heights, offsets, replace(CONFIG, reach=20.0)).panoptic
    assert whole.segments[0].area == 512


def test_small_things_and_small_stuff_are_left_out():
    probabilities, heights, offsets = maps()
    config = replace(CONFIG, min_thing_area=257, min_stuff_area=385)
    prediction = decode(probabilities, heights, offsets, config)
    assert [each.class_id for each in prediction.panoptic.segments] == [ROAD] and len(prediction.instances) == 0


def test_networks_without_things_or_without_stuff():
    probabilities, heights, offsets = maps()
    stuff = decode(probabilities, heights, offsets, replace(CONFIG, thing_ids=()))
    assert [(each.class_id, each.isthing) for each in stuff.panoptic.segments] == [(0, False), (1, False), (2, False)]
    things = decode(probabilities, heights, offsets, replace(CONFIG, thing_ids=(0, 1, 2, 3), reach=100.0))
    assert all(each.isthing for each in things.panoptic.segments) and len(things.panoptic.segments) == 2


def test_centres_are_the_highest_of_their_window():
    heights = torch.zeros(6, 9)
    heights[1, 1], heights[1, 3], heights[4, 7], heights[5, 0] = 0.8, 0.6, 0.9, 0.05
    found = find_centres(heights, threshold=0.1, window=3, most=10)
    assert found.positions.tolist() == [[17.5, 29.5], [5.5, 5.5], [5.5, 13.5]]
    assert torch.equal(found.heights, torch.tensor([0.9, 0.8, 0.6]))
    assert len(find_centres(heights, threshold=0.1, window=5, most=10).heights) == 2
    assert find_centres(heights, threshold=0.0, window=3, most=1).positions.tolist() == [[17.5, 29.5]]


def test_no_centre_owns_nothing():
    none = find_centres(torch.zeros(2, 2), threshold=0.1, window=3, most=10)
    assert (group_pixels(torch.zeros(2, 8, 8), torch.ones(8, 8, dtype=torch.bool), none, reach=9) == -1).all()


def test_pixels_that_may_be_of_a_thing_are_stuff_where_there_is_none():
    probabilities, heights, offsets = maps()
    probabilities[:, 12:28, 8:40] = torch.tensor([0.6, 0.0, 0.4, 0.0])[:, None, None]
    heights[4, 7] = 0
    segments = decode(probabilities, heights, offsets, replace(CONFIG, thing_threshold=0.3)).panoptic.segments
    assert [(each.class_id, each.area) for each in segments] == [(CAR, 256), (ROAD, 24 * 48 - 256), (SKY, 8 * 48)]
    assert [each.class_id for each in decode(probabilities, heights, offsets, CONFIG).panoptic.segments] == [ROAD, SKY]
