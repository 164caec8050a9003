from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mbps_dataset.training.farthest_points import CELLS, farthest_points, spread_positions


@given(st.integers(0, 1000), st.integers(1, 12))
def test_each_point_is_the_farthest_from_those_before(seed, count):
    points = torch.randn(2, 12, 3, generator=torch.Generator().manual_seed(seed))
    chosen = farthest_points(points, count, torch.tensor([3, 5]))
    assert chosen[:, 0].tolist() == [3, 5]
    for row, cloud in zip(chosen.tolist(), points):
        assert len(set(row)) == count
        for place in range(1, count):
            distance = torch.cdist(cloud, cloud[row[:place]]).amin(dim=1)
            assert distance[row[place]] == pytest.approx(distance.max().item(), rel=1e-5)


def test_points_in_one_place_are_taken_once_each():
    assert sorted(farthest_points(torch.zeros(1, 4, 3), 4, torch.tensor([1]))[0].tolist()) == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="at most 4 positions, as many as there are points, but got 5"):
        farthest_points(torch.zeros(1, 4, 3), 5, torch.tensor([0]))


def test_what_is_far_gets_more_positions_than_its_share_of_the_image():
    depth = torch.full((1, 1, 64, 64), 3.0)
    depth[..., :16, :] = 60  # a quarter of the image
    depth[..., :2, :] = 0  # unknown: as far as anything
    positions = spread_positions(depth, 11, torch.Generator().manual_seed(0))
    assert positions.shape == (1, 11, 11, 2) and positions.abs().max() < 1
    assert (positions[..., 1] < -0.5).float().mean() > 0.9
    again = spread_positions(depth, 11, torch.Generator().manual_seed(0))
    assert torch.equal(positions, again)
    near = spread_positions(torch.full((1, 1, 64, 64), 3.0), 11, torch.Generator().manual_seed(0))
    assert abs((near[..., 1] < -0.5).float().mean() - 0.25) < 0.15


def test_an_image_has_so_many_cells():
    with pytest.raises(ValueError, match=f"at most {CELLS * CELLS} positions"):
        spread_positions(torch.ones(1, 1, 8, 8), CELLS + 1)
