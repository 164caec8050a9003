"""Saliency that follows what is seen is told from saliency that only likes a place, or nothing."""

from __future__ import annotations

import numpy as np
import pytest

from mbps_dataset.stages.saliency_chance import GRID, Seen, chance_of_ranking


def street(seed: int) -> np.ndarray:
    """Road (0) below, sky (1) above, and an object of class 2 and one of class 3 anywhere."""
    generator = np.random.default_rng(seed)
    classes = np.zeros((GRID, GRID), dtype=np.uint16)
    classes[: GRID // 2] = 1
    for each in (2, 3):
        top, left = generator.integers(0, GRID - 12, 2)
        classes[top : top + 12, left : left + 12] = each
    return classes


def seen(count: int, salient) -> list[Seen]:
    return [Seen(street(seed), salient(street(seed), np.random.default_rng(seed + 1000))) for seed in range(count)]


def on_objects(classes, generator):
    return np.where(
        np.isin(classes, (2, 3)), generator.random(classes.shape) < 0.6, generator.random(classes.shape) < 0.3
    )


def anywhere(classes, generator):
    return generator.random(classes.shape) < 0.3


def in_the_middle(classes, generator):
    centre = np.hypot(*np.meshgrid(*2 * [np.linspace(-1, 1, GRID)])) < 0.6
    return centre & (generator.random(classes.shape) < 0.8)


@pytest.mark.parametrize(("salient", "tells"), [(on_objects, True), (anywhere, False), (in_the_middle, False)])
def test_only_what_follows_the_objects_tells_classes_apart(salient, tells):
    found = chance_of_ranking(seen(40, salient), [0, 1, 2, 3])
    assert found.tells is tells and found.comparisons >= 19
    assert ("no better than chance" in str(found)) is not tells


def test_classes_that_cannot_be_things_are_left_out():
    sky = seen(40, lambda classes, generator: (classes == 1) & (generator.random(classes.shape) < 0.9))
    assert chance_of_ranking(sky, [0, 1, 2, 3]).explained > 0.5
    alone = chance_of_ranking(sky, [2, 3])
    assert alone.explained == 0 and not alone.tells


def test_of_few_images_nothing_is_said():
    found = chance_of_ranking(seen(4, on_objects), [2, 3])
    assert found.tells and "cannot be said of so few images" in str(found)
    assert chance_of_ranking([], []).tells


def test_the_share_is_that_of_the_equation():
    classes = np.zeros((GRID, GRID), dtype=np.uint16)
    classes[:, GRID // 2 :] = 1
    salient = np.zeros((GRID, GRID), dtype=bool)
    salient[: GRID // 2, : GRID // 2] = True  # half of class 0, nothing of class 1
    found = chance_of_ranking([Seen.of(classes, salient)], [0, 1]).explained
    assert found == pytest.approx((0.5 * 0.25**2 + 0.5 * 0.25**2) / (0.25 * 0.75))
