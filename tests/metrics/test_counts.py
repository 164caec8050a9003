"""Things an image, and kinds that are right."""

from __future__ import annotations

import math

import numpy as np

from mbps_dataset.metrics import PanopticQuality
from mbps_dataset.metrics.counts import right_kinds, things_an_image


def test_things_are_counted_by_class_and_id_without_groups():
    metric = PanopticQuality([11, 13], [0], matching="hungarian", pseudo_stuff=(5,), pseudo_things=(6, 7))
    true, instance = np.array([[0, 13, 13, 13, 11, 11]]), np.array([[4, 1, 2, 0, 1, 0]])
    pred, own = np.array([[5, 6, 6, 7, 7, 6]]), np.array([[9, 1, 1, 1, 2, 0]])
    crowd = np.array([[0, 0, 0, 0, 0, 1]])
    metric.update(pred, own, true, instance, true_crowd=crowd, image_id="a")
    metric.update(pred * 0 + 5, None, true * 0, None, image_id="b")
    assert things_an_image(metric.table(), (6, 7), (11, 13)) == (1.5, 1.5)
    assert things_an_image(metric.table(), (), (13,)) == (0.0, 1.0)
    empty = PanopticQuality([13], [0]).table()
    assert all(map(math.isnan, things_an_image(empty, (13,), (13,))))


def test_kinds_are_right_where_class_and_cluster_agree():
    assert right_kinds((6,), (5, 8), {5: 0, 6: 13, 8: 13}, (13,)) == (2, 3)
    assert right_kinds((6,), (5, 8), {5: 0}, (13,)) == (1, 1) and right_kinds((), (), {}, ()) == (0, 0)
