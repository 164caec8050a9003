from __future__ import annotations

import math

import pytest

from mbps_dataset.errors import InputError
from mbps_dataset.training.panoptic.labelled_subsets import MeanAndSpread, disjoint_subsets, over_subsets


@pytest.mark.parametrize(("images", "size"), [(30, 10), (100, 7), (3, 1)])
def test_subsets_are_disjoint_of_the_size_asked_for_and_come_from_the_seed(images: int, size: int) -> None:
    subsets = disjoint_subsets(images, size, seed=4)
    drawn = [number for subset in subsets for number in subset]
    assert [len(subset) for subset in subsets] == [size] * 3 and len(set(drawn)) == 3 * size
    assert set(drawn) <= set(range(images)) and all(subset == sorted(subset) for subset in subsets)
    assert subsets == disjoint_subsets(images, size, seed=4)
    assert images == 3 or subsets != disjoint_subsets(images, size, seed=5)


def test_a_larger_subset_holds_the_smaller() -> None:
    small, large = disjoint_subsets(200, 5, seed=1), disjoint_subsets(200, 50, seed=1)
    assert all(set(few) < set(many) for few, many in zip(small, large))


def test_too_few_images_say_what_would_fit() -> None:
    with pytest.raises(
        InputError, match="3 disjoint subsets of 10 images need 30, but the set has 29; take at most 9"
    ):
        disjoint_subsets(29, 10)
    with pytest.raises(ValueError, match="at least one subset of at least one image, but got 3 of 0"):
        disjoint_subsets(29, 0)


def test_mean_and_spread_are_over_the_subsets_that_have_the_number() -> None:
    found = over_subsets([{"pq": 0.1, "sq": 1.0}, {"pq": 0.2, "sq": 1.0}, {"pq": 0.3}])
    assert list(found) == ["pq"] and found["pq"] == pytest.approx(MeanAndSpread(0.2, 0.1))
    assert math.isnan(over_subsets([{"pq": 0.1}])["pq"].deviation)
    with pytest.raises(ValueError, match="at least one subset"):
        over_subsets([])
