from __future__ import annotations

import numpy as np
import pytest

from mbps_dataset.stages.instances.maskcut import mask_cut
from tests.stages.instances.cuts import maskcut, tokencut
from tests.stages.instances.feature_scenes import OBJECTS, feature_scene, semantic_of
from tests.stages.instances.scenes import THINGS


@pytest.mark.parametrize("seed", range(3))
def test_finds_three_objects_one_after_the_other(seed: int) -> None:
    numbers, features = feature_scene(seed)
    masks = mask_cut(features, 0.15, 3)
    assert sum(mask.astype(int) for mask in masks).max() == 1
    found = set()
    for mask in masks:
        overlaps = [(mask & (numbers == k)).sum() / (mask | (numbers == k)).sum() for k in range(1, len(OBJECTS) + 1)]
        assert max(overlaps) > 0.85
        found.add(int(np.argmax(overlaps)))
    assert found == {0, 1, 2}


def test_fewer_masks_are_the_first_of_more() -> None:
    _, features = feature_scene(1)
    one, three = mask_cut(features, 0.15, 1), mask_cut(features, 0.15, 3)
    np.testing.assert_array_equal(one[0], three[0])


def test_stops_when_a_mask_repeats_or_is_tiny() -> None:
    numbers, features = feature_scene(0, noise=0.1)
    assert 3 <= len(mask_cut(features, 0.15, 10)) <= 4
    features[numbers > 1] = features[0, 0]
    masks = mask_cut(features, 0.15, 10)
    np.testing.assert_array_equal(masks[0], numbers == 1)
    assert all(mask.sum() > 9 for mask in masks)


def test_instances_have_the_class_below_them() -> None:
    numbers, features = feature_scene(2, noise=0.1)
    found = maskcut(semantic_of(numbers), features, THINGS)
    assert sorted(found.class_ids) == [13, 14, 15]
    for class_id, mask in zip(found.class_ids, found.masks()):
        np.testing.assert_array_equal(mask, semantic_of(numbers) == class_id)
    assert (np.diff(found.areas) <= 0).all() and found.scores[0] == 1.0
    np.testing.assert_allclose(found.scores, found.areas / found.areas[0])


def test_only_things_are_kept() -> None:
    numbers, features = feature_scene(2, noise=0.1)
    assert maskcut(semantic_of(numbers), features, [14]).class_ids.tolist() == [14]
    assert len(maskcut(semantic_of(numbers), features, [])) == 0
    assert len(maskcut(np.full((240, 240), 255, np.uint8), features, THINGS)) == 0


def test_tokencut_finds_one_object() -> None:
    numbers, features = feature_scene(2, noise=0.1)
    features[numbers > 1] = features[0, 0]
    found = tokencut(semantic_of(numbers), features, THINGS)
    np.testing.assert_array_equal(found.masks(), semantic_of(numbers)[None] == 13)


def test_tiles_are_cut_on_their_own() -> None:
    numbers, features = feature_scene(0, noise=0.1)
    wide = np.concatenate([features, features], axis=1)
    semantic = semantic_of(np.concatenate([numbers, numbers], axis=1))
    assert len(maskcut(semantic, wide, THINGS, masks=3)) <= 3
    found = maskcut(semantic, wide, THINGS, masks=3, tiles=(1, 2))
    assert sorted(found.class_ids) == [13, 13, 14, 14, 15, 15]


def test_features_without_any_structure() -> None:
    assert mask_cut(np.ones((6, 6, 4)), 0.15, 3) == []
    assert len(maskcut(np.full((48, 48), 13, np.uint8), np.ones((6, 6, 4)), THINGS)) == 0


def test_the_crf_follows_the_picture() -> None:
    numbers, features = feature_scene(0, noise=0.1)
    semantic = semantic_of(numbers, pixels=3)
    picture = np.random.default_rng(0).integers(0, 12, (90, 90, 3)).astype(np.uint8)
    # In the picture the object reaches two pixels further to the right than its patches say.
    picture[45:75, 48:80] += 200
    plain = maskcut(semantic, features, [14], masks=3)
    refined = maskcut(semantic, features, [14], masks=3, image=picture)
    assert plain.boxes().tolist() == [[48, 45, 30, 30]]
    assert refined.boxes().tolist() == [[48, 45, 32, 30]]


def test_says_what_is_wrong() -> None:
    with pytest.raises(ValueError, match=r"`image` and `semantic` to share \(H, W\), but got \(8, 9\) and \(8, 8\)"):
        maskcut(np.zeros((8, 8), int), np.ones((4, 4, 2)), THINGS, image=np.zeros((8, 9, 3), np.uint8))
    with pytest.raises(ValueError, match=r"`tiles` between \(1, 1\) and the grid's \(4, 4\), but got \(0, 2\)"):
        maskcut(np.zeros((8, 8), int), np.ones((4, 4, 2)), THINGS, tiles=(0, 2))
