from __future__ import annotations

import numpy as np
import pytest

from mbps_dataset.models.cascade.anchors import cell_anchors, level_anchors
from mbps_dataset.models.cascade.feature_pyramid import STRIDES
from mbps_dataset.models.cascade.proposals import SIZES
from tests.models.cascade.drawn_weights import cascade_vectors


def test_anchors_are_those_of_the_vector():
    vectors, meta = cascade_vectors("rpn")
    for level, (stride, size) in enumerate(zip(STRIDES, SIZES)):
        _, _, height, width = meta["inputs"][f"p{level + 2}"][1]
        anchors = level_anchors(height, width, stride=stride, size=size)
        assert len(anchors) == vectors["anchors_per_level"][level]
        head, tail = vectors[f"anchors_head/p{level + 2}"], vectors[f"anchors_tail/p{level + 2}"]
        np.testing.assert_allclose(anchors[: len(head)], head, atol=1e-6)
        np.testing.assert_allclose(anchors[-len(tail) :], tail, atol=1e-6)
        np.testing.assert_allclose(cell_anchors(size), vectors["cell_anchors"][level], atol=1e-5)


def test_centres_are_at_multiples_of_the_stride_and_areas_equal():
    anchors = level_anchors(2, 3, stride=8, size=64)
    centres = (anchors[:, :2] + anchors[:, 2:]) / 2
    assert centres[::3].tolist() == [[0, 0], [8, 0], [16, 0], [0, 8], [8, 8], [16, 8]]
    sides = anchors[:, 2:] - anchors[:, :2]
    assert sides.prod(dim=1).tolist() == pytest.approx([64**2] * 18)
    assert (sides[:3, 1] / sides[:3, 0]).tolist() == pytest.approx([0.5, 1, 2])
