from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mbps_dataset.stages import saliency
from tests.examples import examples
from tests.vectors import load_vectors


@pytest.fixture(scope="module")
def golden():
    return load_vectors("dinov3_cls_attention")


def test_enlargement_is_that_of_the_reference_vectors(golden):
    enlarged = saliency.upsample(golden["attn_reference_prerope"], 128, 192)
    np.testing.assert_allclose(enlarged, golden["upsampled_128x192"], atol=1e-7)


@pytest.mark.parametrize(
    ("values", "threshold"),
    [("upsampled_128x192", "otsu_threshold"), ("otsu_in2", "otsu_th2"), ("otsu_const_in", "otsu_const_th")],
)
def test_thresholds_are_those_of_the_reference_vectors(golden, values, threshold):
    assert saliency.otsu_threshold(golden[values]) == pytest.approx(float(golden[threshold]), abs=1e-7)


def test_the_mask_is_that_of_the_reference_vectors(golden):
    expected = np.unpackbits(golden["saliency_mask_packed"])[: 128 * 192].reshape(128, 192)
    np.testing.assert_array_equal(saliency.salient_mask(golden["upsampled_128x192"]), expected)


def test_ratios_coverage_and_ranking_are_those_of_the_reference_vectors(golden):
    counts = saliency.count_overlap(golden["semantic"], golden["upsampled_128x192"])
    np.testing.assert_allclose(counts.ratios(), golden["overlap_ratio"], atol=1e-12)
    np.testing.assert_allclose(counts.coverage(), golden["coverage"], atol=1e-12)
    np.testing.assert_array_equal(
        saliency.overlap_ratios(golden["semantic"], golden["upsampled_128x192"]), counts.ratios()
    )
    things = saliency.rank_things(golden["overlap_ratio"], golden["coverage"], n_things=6, max_coverage=0.10)
    assert list(things) == golden["things_n6_cov0p10"].tolist()
    things = saliency.rank_things(golden["overlap_ratio"], golden["coverage"], n_things=8, max_coverage=0)
    assert list(things) == golden["things_n8_cov0"].tolist()


@examples(30)
@given(arrays.arrays(np.float64, st.integers(1, 60), elements=st.floats(-5, 5)))
def test_the_threshold_maximises_the_variance_between_classes(values):
    threshold = saliency.otsu_threshold(values)
    counts, edges = np.histogram(values, bins=256)
    centres = (edges[:-1] + edges[1:]) / 2

    def between(last):
        low, high = counts[: last + 1], counts[last + 1 :]
        if not low.sum() or not high.sum():
            return 0.0
        means = np.average(centres[: last + 1], weights=low), np.average(centres[last + 1 :], weights=high)
        return low.sum() * high.sum() * (means[0] - means[1]) ** 2

    best = max(between(last) for last in range(256))
    assert between(int(np.flatnonzero(centres == threshold)[0])) >= best * (1 - 1e-9)


def test_two_levels_are_told_apart():
    attention = np.where(np.arange(100).reshape(10, 10) % 7 == 0, 0.9, 0.1)
    np.testing.assert_array_equal(saliency.salient_mask(attention), attention > 0.5)


@pytest.mark.parametrize("values", [[], [0.1, np.nan]])
def test_a_threshold_of_nothing_or_of_nan_is_refused(values):
    with pytest.raises(ValueError, match="finite values for Otsu"):
        saliency.otsu_threshold(np.array(values))


class_maps = arrays.arrays(np.uint8, (4, 6), elements=st.sampled_from([0, 1, 2, 255]))
masks = arrays.arrays(np.bool_, (4, 6))


@examples(30)
@given(class_maps, masks, class_maps, masks)
def test_counts_of_two_images_add_up_to_those_of_the_set(first, first_mask, second, second_mask):
    one = saliency.count_overlap(first, first_mask, 3)
    two = saliency.count_overlap(second, second_mask, 3)
    both = saliency.ClassCounts.zeros(3) + one + two
    for class_id in range(3):
        pixels = np.concatenate([first_mask[first == class_id], second_mask[second == class_id]])
        images = [image for image in (first, second) if (image == class_id).any()]
        if len(pixels):
            assert both.ratios()[class_id] == pytest.approx(pixels.mean())
            assert both.coverage()[class_id] == pytest.approx(len(pixels) / sum(image.size for image in images))
        else:
            assert np.isnan(both.ratios()[class_id]) and np.isnan(both.coverage()[class_id])
        assert both.images_with_class[class_id] == len(images)


def test_sixteen_bit_maps_have_their_own_void():
    counts = saliency.count_overlap(np.array([[0, 65535]], np.uint16), np.array([[True, True]]), 300)
    assert counts.total_px.sum() == 1


def test_a_class_map_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"share \(H, W\), but got \(2, 2\) and \(2, 3\)"):
        saliency.count_overlap(np.zeros((2, 2), np.uint8), np.zeros((2, 3), bool))


def test_a_class_beyond_the_table_is_refused():
    with pytest.raises(ValueError, match="holds class 21, but there are only 19"):
        saliency.count_overlap(np.array([[21, 255]], np.uint8), np.zeros((1, 2), bool))


def test_counts_of_different_tables_cannot_be_added():
    with pytest.raises(ValueError, match="counts of 3 and of 4 classes"):
        saliency.ClassCounts.zeros(3) + saliency.ClassCounts.zeros(4)


def test_every_class_says_why_it_is_what_it_is():
    ratios, coverage = [0.9, 0.5, np.nan, 0.5, 0.1], [0.4, 0.02, np.nan, 0.02, 0.05]
    decisions = saliency.decide_things(ratios, coverage, n_things=1)
    assert decisions == ("stuff: coverage", "thing", "absent", "stuff: rank", "stuff: rank")
    assert saliency.rank_things(ratios, coverage, n_things=1) == (1,)
    assert saliency.rank_things(ratios, coverage, n_things=9, max_coverage=0) == (0, 1, 3, 4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ratios": [0.1], "coverage": [0.1, 0.2]}, r"but got shapes \(1,\) and \(2,\)"),
        ({"ratios": [0.1], "coverage": [0.1], "n_things": -1}, "but got -1 and 0.1"),
        ({"ratios": [0.1], "coverage": [0.1], "max_coverage": 2.0}, "but got 6 and 2.0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        saliency.rank_things(**arguments)


def test_baselines():
    drawn = saliency.random_things(19, n_things=6, seed=4)
    assert drawn == saliency.random_things(19, n_things=6, seed=4) and len(set(drawn)) == 6
    assert any(saliency.random_things(19, n_things=6, seed=seed) != drawn for seed in range(3))
    with pytest.raises(ValueError, match="between 0 and 3"):
        saliency.random_things(3, n_things=4)


def test_a_class_that_depth_edges_cut_apart_has_the_higher_split_ratio():
    semantic = np.array([[0, 0, 0, 0, 0], [1, 1, 1, 1, 1], [255, 1, 255, 0, 255]], dtype=np.uint8)
    edges = np.zeros((3, 5), dtype=bool)
    edges[1, 2] = True
    counts = saliency.count_splits(semantic, edges, 3)
    assert counts.before.tolist() == [2, 1, 0] and counts.after.tolist() == [2, 2, 0]
    np.testing.assert_array_equal((counts + counts).ratios(), [1, 2, np.nan])
    assert saliency.rank_things(counts.ratios(), [0.01, 0.02, np.nan], n_things=1) == (1,)
    assert saliency.count_splits(semantic, edges, 3, min_area=3).after.tolist() == [1, 1, 0]


def test_depth_edges_of_another_size_are_refused():
    with pytest.raises(ValueError, match=r"`depth_edges` to share \(H, W\)"):
        saliency.count_splits(np.zeros((2, 2), np.uint8), np.zeros((2, 3), bool))
