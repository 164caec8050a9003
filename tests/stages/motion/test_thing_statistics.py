from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mbps_dataset.stages.motion.alignment import align_semantics
from mbps_dataset.stages.motion.thing_statistics import (
    MotionCounts,
    class_distribution,
    count_motion,
    moving_ratios,
    split_by_motion,
)
from tests.examples import examples
from tests.stages.motion.test_alignment import CASES
from tests.vectors import load_vectors


def test_running_sums_are_those_of_the_reference_vectors():
    golden = load_vectors("cups/align_statistics")
    total = MotionCounts.zeros(len(golden["plain/running_masks"]))
    for case in CASES:
        instance_map = golden[f"{case}/instance"]
        aligned = align_semantics(golden[f"{case}/semantic"], instance_map, reference=True).semantic
        total = total + count_motion(aligned, instance_map, len(total.pixels))
        np.testing.assert_array_equal(total.inside, golden[f"{case}/running_inside_pixels"])
        np.testing.assert_array_equal(total.objects, golden[f"{case}/running_masks"])
        np.testing.assert_array_equal(total.pixels, golden[f"{case}/running_all_pixels"])


def test_splits_are_those_of_the_reference_vectors():
    golden = load_vectors("cups/thing_stuff_split")
    cases = {name.split("/")[0] for name in golden}
    assert len(cases) > 1
    for case in cases:
        inside, pixels = golden[f"{case}/inside"].sum(axis=0), golden[f"{case}/all"].sum(axis=0)
        split = split_by_motion(inside, pixels, psi=float(golden[f"{case}/psi"]))
        assert (split.reason is not None) == bool(golden[f"{case}/raises"])
        if split.reason is not None:
            assert split.things == () and sorted(split.stuff) == list(range(len(inside)))
            continue
        ratios = moving_ratios(inside, pixels)
        for found, expected in (
            (split.things, golden[f"{case}/things"]),
            (split.stuff, golden[f"{case}/stuff_in_order"]),
        ):
            # The order among equal ratios is free.
            assert set(found) == set(expected.tolist())
            np.testing.assert_array_equal(ratios[list(found)], ratios[expected])
        if len(set(ratios)) == len(ratios):
            shares = class_distribution(pixels, split)
            np.testing.assert_allclose(shares / len(inside), golden[f"{case}/class_distribution"], rtol=1e-5)


@examples(60)
@given(
    arrays.arrays(np.int64, 7, elements=st.integers(0, 1000)),
    arrays.arrays(np.int64, 7, elements=st.integers(1, 1000)),
    st.floats(0.01, 0.5),
    st.sampled_from(["share", "ratio"]),
)
def test_things_are_the_classes_above_psi(inside, pixels, psi, rule):
    inside = np.minimum(inside, pixels)
    split = split_by_motion(inside, pixels, psi=psi, rule=rule)
    ratios = moving_ratios(inside, pixels)
    values = ratios / ratios.sum() if rule == "share" and ratios.sum() else ratios
    above = set(np.flatnonzero(values > psi).tolist())
    np.testing.assert_allclose(split.values, values)
    assert sorted(split.things + split.stuff) == list(range(7))
    if split.reason is None:
        assert set(split.things) == above and split.stuff
    else:
        assert split.things == () and len(above) in (0, 7)
    for part in (split.things, split.stuff):
        assert (np.diff(ratios[list(part)]) <= 0).all()
    assert class_distribution(pixels, split).sum() == pytest.approx(1)


def test_share_and_ratio_are_two_readings():
    inside, pixels = [50, 9, 5, 0], [100, 100, 100, 100]
    assert split_by_motion(inside, pixels).things == (0, 1)
    assert split_by_motion(inside, pixels, psi=0.15).things == (0,)
    assert split_by_motion(inside, pixels, rule="ratio").things == (0, 1)
    assert split_by_motion(inside, pixels, rule="ratio", psi=0.15).things == (0,)
    assert split_by_motion([30, 29, 0, 6], pixels, rule="ratio").things == (0, 1)
    assert split_by_motion([30, 29, 0, 6], pixels).things == (0, 1, 3)


@pytest.mark.parametrize(
    ("inside", "rule", "reason"),
    [
        ([0, 0], "share", "nothing moves"),
        ([50, 60], "share", "all 2 classes have a share of the summed ratios above psi = 0.08"),
        ([50, 60], "ratio", "all 2 classes have a ratio above psi = 0.08"),
        ([5, 6], "ratio", "no class has a ratio above psi = 0.08"),
    ],
)
def test_no_split_is_a_reason(inside, rule, reason):
    split = split_by_motion(inside, [100, 100], rule=rule)
    assert split.reason == reason and split.things == () and sorted(split.stuff) == [0, 1]


def test_void_is_not_counted():
    counts = count_motion(np.array([[1, 1, 255, 0]]), np.array([[3, 0, 5, 0]]), 2)
    assert counts.inside.tolist() == [0, 1] and counts.objects.tolist() == [0, 1] and counts.pixels.tolist() == [1, 2]


def test_wrong_inputs_are_named():
    with pytest.raises(ValueError, match="holds class 7, but there are only 5 classes"):
        count_motion(np.array([[7, 1]]), np.array([[0, 0]]), 5)
    with pytest.raises(ValueError, match=r"to share \(H, W\)"):
        count_motion(np.array([[1, 1]]), np.array([[0, 0, 0]]), 5)
    with pytest.raises(ValueError, match=r"`inside` and `pixels` of one length"):
        split_by_motion([1, 2], [[1, 2], [3, 4]])
    with pytest.raises(ValueError, match=r"Expected `psi` in \[0, 1\], but got 1.5"):
        split_by_motion([1, 2], [3, 4], psi=1.5)
    with pytest.raises(ValueError, match="Unknown rule 'median'; choose share or ratio"):
        split_by_motion([1, 2], [3, 4], rule="median")
