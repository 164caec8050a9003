"""Agreement of groupings, and the number of clusters that blobs of tokens support."""

from __future__ import annotations

import numpy as np
import pytest

from mbps_dataset.stages.cluster_stability import adjusted_rand_index, proposed, stability


def test_agreement_is_that_of_hubert_and_arabie():
    one, other = np.array([0, 0, 0, 1, 1, 1]), np.array([0, 0, 1, 1, 2, 2])
    # pairs together in both 2, in one 6, in the other 3, of 15: (2 - 18/15) / (4.5 - 18/15)
    assert adjusted_rand_index(one, other) == pytest.approx((2 - 1.2) / (4.5 - 1.2))
    generator = np.random.default_rng(0)
    by_chance = adjusted_rand_index(generator.integers(0, 9, 5000), generator.integers(0, 9, 5000))
    assert abs(by_chance) < 0.01
    assert adjusted_rand_index(np.zeros(4, int), np.zeros(4, int)) == 1


def blobs(images: int, groups: int) -> list[np.ndarray]:
    generator = np.random.default_rng(1)
    centres = np.eye(8)[:groups]
    return [centres[generator.integers(0, groups, 80)] + generator.normal(0, 0.05, (80, 8)) for _ in range(images)]


def test_as_many_clusters_as_there_are_groups_agree_best_and_more_agree_less():
    found = stability(blobs(12, 6), (3, 6, 24))
    assert found[6] > 0.99 > found[3] and found[6] > found[24] + 0.1
    assert proposed(found) == 6 and stability(blobs(12, 6), (6,)) == {6: found[6]}


def test_one_image_has_no_halves():
    with pytest.raises(ValueError, match="at least 2 images to halve, but got 1"):
        stability(blobs(1, 2), (2,))
