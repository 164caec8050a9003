from __future__ import annotations

import numpy as np
import pytest
import torch

from mbps_dataset.models.raft import CorrelationPyramid
from mbps_dataset.models.raft.correlation import window_offsets
from tests.vectors import load_vectors


ORDERS = {"smurf": "row-major", "torchvision": "column-major"}


@pytest.mark.parametrize("layout", ORDERS)
@pytest.mark.parametrize(("levels", "radius"), [(4, 4), (2, 3)])
def test_looked_up_correlations_are_those_of_the_vector(layout, levels, radius):
    vectors = load_vectors("cups/raft_parts")
    first, second, positions = (torch.from_numpy(vectors[name]) for name in ("fmap1", "fmap2", "coords"))
    found = CorrelationPyramid(first, second, levels=levels).look_up(positions, radius=radius, order=ORDERS[layout])
    expected = vectors[f"lookup_{layout}_L{levels}_r{radius}_sub"]
    np.testing.assert_allclose(found[0, :, ::5, ::4], expected, atol=1e-5)


def test_a_position_on_a_cell_reads_the_product_of_two_cells_and_zero_outside():
    first, second = torch.randn(2, 1, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    positions = torch.zeros(1, 2, 4, 5)
    positions[0, :, 2, 1] = torch.tensor([3.0, 1.0])  # x, y
    found = CorrelationPyramid(first, second, levels=1).look_up(positions, radius=1)[0, :, 2, 1].reshape(3, 3)
    expected = torch.einsum("c,chw->hw", first[0, :, 2, 1], second[0]) / 3**0.5
    torch.testing.assert_close(found, expected[0:3, 2:5])
    outside = CorrelationPyramid(first, second, levels=1).look_up(positions - 10, radius=1)
    assert torch.equal(outside, torch.zeros_like(outside))


def test_the_two_orders_are_transposes():
    rows, columns = window_offsets(2, "row-major"), window_offsets(2, "column-major")
    assert torch.equal(rows, columns.transpose(0, 1)) and rows[0, 1].tolist() == [-1, -2]


def test_what_cannot_be_looked_up_is_refused():
    maps = torch.zeros(1, 2, 8, 8)
    with pytest.raises(ValueError, match=r"of one shape \[B, C, h, w\], but got \(1, 2, 8, 8\) and \(1, 2, 8, 9\)"):
        CorrelationPyramid(maps, torch.zeros(1, 2, 8, 9))
    with pytest.raises(ValueError, match="at least 16 cells a side for 4 levels, but got 8x8"):
        CorrelationPyramid(maps, maps)
    with pytest.raises(ValueError, match="`order` to be row-major or column-major, but got 'z'"):
        CorrelationPyramid(maps, maps, levels=2).look_up(torch.zeros(1, 2, 8, 8), order="z")
