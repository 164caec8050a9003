from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from mbps_dataset.stages.panoptic import Panoptic, Segment
from tests.examples import examples


@st.composite
def panoptics(draw: st.DrawFn) -> Panoptic:
    shape = st.tuples(st.integers(1, 9), st.integers(1, 9))
    segment_map = draw(arrays.arrays(np.int32, shape, elements=st.integers(0, 5)))
    isthing = draw(st.lists(st.booleans(), min_size=5, max_size=5))
    class_ids = [11 + number % 3 if thing else number for number, thing in enumerate(isthing)]
    return Panoptic.from_map(segment_map, class_ids, isthing, [0.5 if thing else 1.0 for thing in isthing])


def example() -> Panoptic:
    segment_map = np.array([[1, 1, 2, 2], [1, 0, 3, 3]], dtype=np.int32)
    return Panoptic.from_map(segment_map, [0, 13, 13], [False, True, True], [1.0, 0.9, 0.4])


def test_views_of_a_small_map() -> None:
    panoptic = example()
    assert panoptic.segments[2] == Segment(3, 13, True, 2, (2, 1, 2, 1), 0.4)
    assert panoptic.semantic().tolist() == [[0, 0, 13, 13], [0, 255, 13, 13]]
    assert panoptic.instance().tolist() == [[0, 0, 1, 1], [0, 0, 2, 2]]
    assert panoptic.report_map().tolist() == [[0, 0, 13001, 13001], [0, 255000, 13002, 13002]]
    assert panoptic.report_map(void=0).tolist() == [[0, 0, 13001, 13001], [0, 0, 13002, 13002]]
    types = (
        panoptic.segment_map.dtype,
        panoptic.semantic().dtype,
        panoptic.instance().dtype,
        panoptic.report_map().dtype,
    )
    assert types == (np.int32, np.uint8, np.uint16, np.int32)


@examples(50)
@given(panoptics())
def test_segments_describe_the_map(panoptic: Panoptic) -> None:
    ids = np.unique(panoptic.segment_map)
    assert ids[ids > 0].tolist() == [segment.id for segment in panoptic.segments]
    assert [segment.id for segment in panoptic.segments] == list(range(1, len(panoptic.segments) + 1))
    for segment in panoptic.segments:
        mask = panoptic.segment_map == segment.id
        x, y, width, height = segment.bbox
        assert mask.sum() == segment.area == mask[y : y + height, x : x + width].sum()
        assert mask[y].any() and mask[y + height - 1].any() and mask[:, x].any() and mask[:, x + width - 1].any()
        assert (panoptic.semantic()[mask] == segment.class_id).all()
        assert (panoptic.instance()[mask] > 0).all() == segment.isthing
        assert (panoptic.report_map()[mask] // 1000 == segment.class_id).all()


@examples(50)
@given(panoptics(), st.integers(1, 20), st.integers(1, 20))
def test_resized_as_pillow_does(panoptic: Panoptic, height: int, width: int) -> None:
    for size, target in zip(panoptic.segment_map.shape, (height, width)):
        # Where a pixel's centre lies on a border exactly, Pillow's running sum falls to either side.
        on_border = (2 * np.arange(target) + 1) * size % (2 * target) == 0
        assume(target % size == 0 or size % target == 0 or not on_border.any())
    resized = panoptic.resized(height, width)
    expected = Image.fromarray(panoptic.report_map()).resize((width, height), Image.Resampling.NEAREST)
    np.testing.assert_array_equal(resized.semantic(), np.minimum(np.array(expected) // 1000, 255))
    assert sum(segment.area for segment in resized.segments) == (resized.segment_map > 0).sum()
    kept = {(segment.class_id, segment.isthing, segment.score) for segment in resized.segments}
    assert kept <= {(segment.class_id, segment.isthing, segment.score) for segment in panoptic.segments}


def test_resizing_drops_what_vanishes_and_closes_the_ids() -> None:
    resized = example().resized(1, 2)
    assert resized.segment_map.tolist() == [[0, 1]]
    assert resized.segments == (Segment(1, 13, True, 1, (1, 0, 1, 1), 0.4),)
    with pytest.raises(ValueError, match="at least 1 x 1 pixels, but got 0 x 4"):
        example().resized(0, 4)


def many(count: int, class_id: int = 13) -> Panoptic:
    segment_map = np.arange(1, count + 1, dtype=np.int32).reshape(1, -1)
    return Panoptic.from_map(segment_map, [class_id] * count, [True] * count, [0.1] * count)


def test_a_thousand_instances_do_not_become_the_next_class() -> None:
    panoptic = many(1500)
    assert len(panoptic.segments) == 1500
    assert panoptic.instance().max() == 1500
    with pytest.raises(ValueError, match="Class 13 has 1500 things, but .* room for 999"):
        panoptic.report_map()
    shared = panoptic.report_map(overflow="share")
    assert shared.max() == 13999 and (shared == 13999).sum() == 502
    assert many(999).report_map().max() == 13999


def test_more_things_than_sixteen_bits_hold() -> None:
    assert many(65535).instance().max() == 65535
    with pytest.raises(ValueError, match="65536 things do not fit a 16-bit instance map"):
        many(65536).instance()


def test_pseudo_classes_above_254_are_sixteen_bit() -> None:
    panoptic = Panoptic.from_map(np.array([[1, 2, 0]]), [254, 300], [False, False], [1.0, 1.0])
    assert panoptic.semantic().dtype == np.uint16
    assert panoptic.semantic().tolist() == [[254, 300, 65535]]
    assert Panoptic.from_map(np.array([[1, 0]]), [254], [False], [1.0]).semantic().tolist() == [[254, 255]]
    low = Panoptic.from_map(np.array([[1, 0]]), [3], [False], [1.0]).semantic(65_535)
    assert low.dtype == np.uint16 and low.tolist() == [[3, 65_535]]


def test_void_cannot_share_its_value_with_a_segment() -> None:
    panoptic = Panoptic.from_map(np.array([[1, 0]]), [255], [False], [1.0])
    with pytest.raises(ValueError, match="Void value 255000 is also the id of a segment"):
        panoptic.report_map()
    assert panoptic.report_map(void=-1).tolist() == [[255000, -1]]


def test_ids_nobody_describes_are_refused() -> None:
    with pytest.raises(ValueError, match="holds id 3, but only 1 segments are described"):
        Panoptic.from_map(np.array([[1, 3]]), [0], [False], [1.0])


def test_nothing_at_all() -> None:
    panoptic = Panoptic.from_map(np.zeros((2, 3), np.int32), [], [], [])
    assert panoptic.segments == () and (panoptic.semantic() == 255).all() and not panoptic.instance().any()
