from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mbps_dataset.stages.instances.types import Instances
from mbps_dataset.stages.motion.ensemble import agreement_counts, clear_margin, combine_runs, paint
from mbps_dataset.stages.motion.matrix_nms import matrix_nms
from tests.examples import examples
from tests.vectors import load_vectors


CASES = ("main", "some_runs_empty", "inverting", "nothing_survives", "corner_hole")


@pytest.fixture(scope="module")
def golden():
    return load_vectors("cups/ens_pipeline")


def recorded_runs(golden, case):
    counts, (height, width) = golden[f"{case}/masks_per_run"], golden["points"].shape[1:]
    bits = np.unpackbits(golden[f"{case}/masks"])[: counts.sum() * height * width].reshape(-1, height, width)
    ends = np.cumsum(counts)
    return [
        Instances(bits[end - count : end], scores=golden[f"{case}/scores"][end - count : end])
        for end, count in zip(ends, counts)
    ]


@pytest.mark.parametrize("case", CASES)
def test_steps_are_those_of_the_reference_vectors(golden, case):
    pooled = Instances.concatenate(recorded_runs(golden, case))
    counts = agreement_counts(pooled)
    np.testing.assert_allclose(counts, golden[f"{case}/counts_restated"], rtol=1e-5)
    agreed = pooled.select(counts >= 6.4)
    assert len(agreed) == golden[f"{case}/n_kept_by_count"]
    scores, kept = matrix_nms(agreed)
    np.testing.assert_allclose(scores, golden[f"{case}/nms_scores"], atol=1e-5)
    for found, expected in zip(kept, golden[f"{case}/nms_keep"].astype(int), strict=True):
        np.testing.assert_array_equal(agreed.pixels_of(found), agreed.pixels_of(expected))
    if len(kept):
        painted, _ = paint(agreed.select(kept), connectivity=4, reference=True)
        np.testing.assert_array_equal(painted, golden[f"{case}/painted"])


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("connectivity", "name"), [(4, "out"), (8, "out_conn8")])
def test_objects_are_those_of_the_reference_vectors(golden, case, connectivity, name):
    points = np.moveaxis(golden["points"], 0, -1)
    runs = recorded_runs(golden, case)
    found = combine_runs(runs, points, connectivity=connectivity, margin=0, reference=True)
    np.testing.assert_array_equal(found.labels, golden[f"{case}/{name}"])
    assert len(found.scores) == found.labels.max() == len(found.instances())
    assert (found.reason is None) == found.labels.any()


def test_the_object_that_inverts_in_the_reference_vectors_stays_an_object(golden):
    points, runs = np.moveaxis(golden["points"], 0, -1), recorded_runs(golden, "inverting")
    mask = runs[0].mask(0)
    clean, inverted = (combine_runs(runs, points, margin=0, reference=reference) for reference in (False, True))
    assert (clean.labels[mask] == 1).all() and not inverted.labels[mask].any()


def street(height=60, width=120):
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    return np.stack([0.1 * columns, 0.1 * rows, np.full(rows.shape, 10)], axis=-1)


def box(top, bottom, left, right, shape=(60, 120)):
    mask = np.zeros(shape, dtype=bool)
    mask[top:bottom, left:right] = True
    return mask


def test_what_six_of_eight_runs_find_goes_and_what_seven_find_stays():
    car, van = box(10, 30, 40, 60), box(10, 30, 64, 84)
    none = Instances.empty(car.shape)
    runs = [Instances([car, van]) if run < 6 else Instances([car]) if run < 7 else none for run in range(8)]
    found = combine_runs(runs, street())
    np.testing.assert_array_equal(found.labels, car.astype(int))
    assert found.scores.tolist() == [1.0] and found.reason is None


def test_each_way_to_lose_everything_has_its_reason():
    car, points = box(10, 30, 40, 60), street()
    none, one = Instances.empty(car.shape), Instances([car])
    assert combine_runs([none] * 8, points).reason == "none of 8 runs found a moving object"
    assert combine_runs([one, *[none] * 7], points).reason == "8 runs agree on none of their 1 masks"
    weak = combine_runs([one.replace(scores=[0.5])] * 8, points)
    assert weak.reason == "none of 8 masks keeps a score of 0.6"
    small = combine_runs([Instances([box(10, 14, 40, 44)])] * 8, points)
    assert small.reason == "no object has 64 pixels and shows 0.65 m² of surface"
    for reference in (False, True):
        edge = combine_runs([Instances([box(10, 30, 0, 30)])] * 8, points, reference=reference)
        assert edge.reason == "every object lies within 32 columns of the image's left or right edge"
        assert not edge.labels.any() and len(edge.instances()) == 0


def test_the_margin_leaves_gaps_and_remainders_only_in_the_reference():
    points = street()
    runs = [Instances([box(10, 30, 0, 20), box(31, 59, 4, 34), box(10, 30, 40, 70)])] * 8
    clean, published = (combine_runs(runs, points, reference=reference) for reference in (False, True))
    assert np.unique(clean.labels).tolist() == [0, 1] and (clean.labels == 1).sum() == 600
    assert np.unique(published.labels).tolist() == [0, 2, 3]
    assert (published.labels == 3).sum() == 28 * 2 and len(published.scores) == 3
    assert len(published.instances()) == 2


def test_the_larger_mask_covers_the_smaller_and_holes_are_filled():
    ring = box(10, 40, 40, 80) & ~box(20, 30, 50, 60)
    labels, scores = paint(Instances([ring, box(5, 15, 45, 60), box(20, 30, 50, 60)], scores=[0.9, 0.8, 0.7]))
    assert (labels[10:40, 40:80] == 3).all() and (labels[5:10, 45:60] == 2).all()
    # The smallest, in the hole, was painted first and is gone.
    assert np.unique(labels).tolist() == [0, 2, 3] and scores.tolist() == [0.7, 0.8, 0.9]


@examples(40)
@given(arrays.arrays(np.bool_, st.tuples(st.integers(1, 6), st.just(4), st.just(5))))
def test_counts_are_means_over_the_pixels(masks):
    over = masks.sum(axis=0)
    expected = [over[mask].mean() if mask.any() else 0 for mask in masks]
    np.testing.assert_allclose(agreement_counts(Instances(masks)), expected)


@pytest.mark.parametrize(("columns", "left"), [(0, 10), (3, 4), (5, 0), (50, 0)])
def test_the_margin_is_cleared(columns, left):
    labels = np.ones((4, 10), dtype=np.uint8)
    assert clear_margin(labels, columns).any(axis=0).sum() == left and labels.all()


def test_no_run_and_other_sizes_are_named():
    with pytest.raises(ValueError, match="Expected instances of one image size"):
        combine_runs([], street())
    with pytest.raises(ValueError, match=r"Expected points \(H, W, 3\) and a map"):
        combine_runs([Instances([box(10, 30, 40, 60)])] * 8, street(50, 120))
