from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mbps_dataset.stages.instances import Instances, mask_iou, merge_detections, suppress_overlaps
from tests.examples import examples


@examples(60)
@given(arrays.arrays(bool, st.tuples(st.integers(0, 6), st.integers(1, 8), st.integers(1, 8))))
def test_iou_equals_counting_pixels(masks: np.ndarray) -> None:
    expected = [[(a & b).sum() / max((a | b).sum(), 1) for b in masks] for a in masks]
    np.testing.assert_allclose(mask_iou(Instances(masks)), np.array(expected).reshape(len(masks), len(masks)))


def bars(*columns: tuple[int, int]) -> np.ndarray:
    masks = np.zeros((len(columns), 2, 20), dtype=bool)
    for mask, (left, right) in zip(masks, columns):
        mask[:, left:right] = True
    return masks


def test_the_higher_score_suppresses_and_the_suppressed_does_not() -> None:
    # 0 and 1 overlap by 1/2, 1 and 2 by 1/2, 0 and 2 by 1/5.
    chain = Instances(bars((0, 6), (2, 8), (4, 10)), scores=[0.9, 0.8, 0.7])
    np.testing.assert_array_equal(suppress_overlaps(chain, max_iou=0.4).scores, [0.9, 0.7])
    np.testing.assert_array_equal(suppress_overlaps(chain, max_iou=0.5).scores, [0.9, 0.8, 0.7])
    np.testing.assert_array_equal(suppress_overlaps(chain, max_iou=0.1).scores, [0.9])


def test_classes_may_be_kept_apart() -> None:
    same_place = Instances(bars((0, 5), (0, 5)), class_ids=[11, 13], scores=[0.5, 0.9])
    assert suppress_overlaps(same_place).class_ids.tolist() == [13]
    assert suppress_overlaps(same_place, per_class=True).class_ids.tolist() == [13, 11]


def test_several_scales_become_one_set() -> None:
    small, large = Instances(bars((0, 5)), scores=[0.4]), Instances(bars((0, 6), (10, 15)), scores=[0.8, 0.3])
    merged = merge_detections([small, large], max_iou=0.3)
    assert merged.scores.tolist() == [0.8, 0.3]
    assert len(merge_detections([Instances.empty((2, 20))])) == 0
    with pytest.raises(ValueError, match="instances of one image size"):
        merge_detections([small, Instances.empty((3, 3))])
