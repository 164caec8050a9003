from __future__ import annotations

import numpy as np
import pytest
import torch

from mbps_dataset.models.cascade.boxes import boxes_of_masks
from mbps_dataset.models.panoptic.network import VOID
from mbps_dataset.stages.motion.draws import seeded_draws
from mbps_dataset.training.panoptic.random_crop import (
    Crop,
    Zoom,
    crop_batch,
    draw_crop,
    draw_zooms,
    mirror_batch,
    zoom_batch,
)
from tests.training.panoptic.batches import THING, assert_same_labels, assert_same_pixels, drawn_batch, golden_batch
from tests.vectors import load_vectors


@pytest.fixture(scope="module")
def golden():
    return load_vectors("cascade/jitter_crop")


def test_crops_are_those_of_the_reference_vectors(golden):
    height, width = golden["crop/size"].tolist()
    corners = tuple((top, left) for left, top in golden["crop/offset_xy"].tolist())
    found = crop_batch(golden_batch(golden), Crop(height, width, corners))
    for number, (image, target) in enumerate(zip(found.images, found.targets)):
        assert_same_labels(target, golden, "crop", number)
        boxes = boxes_of_masks(target.masks, last_pixel=False)
        np.testing.assert_array_equal(boxes, golden[f"crop/boxes_{number}"])
        assert_same_pixels(image[1, ::2, ::2].numpy(), golden, f"crop/image_ch2_{number}")


def test_a_crop_has_one_size_and_a_place_an_image_within_them() -> None:
    draws = seeded_draws(0, 0)
    crops = [draw_crop(draws, 3, (60, 121), heights=(20, 60)) for _ in range(300)]
    assert {crop.height for crop in crops} == set(range(20, 61))
    assert all(crop.width == round(crop.height * 121 / 60) for crop in crops)
    for crop in crops:
        assert len(crop.corners) == 3
        assert all(0 <= top <= 60 - crop.height and 0 <= left <= 121 - crop.width for top, left in crop.corners)
    assert any(len(set(crop.corners)) > 1 for crop in crops)
    assert draw_crop(seeded_draws(5, 1), 2, (60, 121)) == Crop(60, 121, ((0, 0), (0, 0)))


@pytest.mark.parametrize("heights", [(0, 5), (9, 8)])
def test_heights_that_cannot_be_are_refused(heights: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="heights of a crop"):
        draw_crop(seeded_draws(0, 0), 1, (60, 60), heights=heights)


def test_a_crop_shows_what_lay_there_and_drops_what_it_does_not_show() -> None:
    batch = drawn_batch(1)
    cut = crop_batch(batch, Crop(20, 30, ((5, 0), (28, 66))))
    assert cut.images.shape == (2, 3, 20, 30)
    assert torch.equal(cut.images[0], batch.images[0, :, 5:25, :30])
    for number, (rows, columns) in enumerate([(slice(5, 25), slice(0, 30)), (slice(28, 48), slice(66, 96))]):
        there = batch.targets[number].masks[:, rows, columns]
        areas = there.flatten(1).sum(1)
        assert torch.equal(cut.targets[number].masks, there[areas >= 5])
    assert bool((cut.targets[0].semantic[:, :3] == VOID).all())


def test_parts_beyond_an_image_are_refused() -> None:
    batch = drawn_batch()
    with pytest.raises(ValueError, match=r"parts within 48 × 96, but got 20 × 30 at \(29, 0\)"):
        crop_batch(batch, Crop(20, 30, ((0, 0), (29, 0))))
    with pytest.raises(ValueError, match="a part for each of 2 images"):
        crop_batch(batch, Crop(20, 30, ((0, 0),)))
    with pytest.raises(ValueError, match="parts within"):
        zoom_batch(batch, [Zoom(0, 0, 48, 96, False), Zoom(0, 1, 48, 96, False)])


def test_zooms_keep_the_shape_of_the_image_and_lie_within_it() -> None:
    zooms = draw_zooms(seeded_draws(2, 0), 500, (480, 960))
    shares = [zoom.height * zoom.width / (480 * 960) for zoom in zooms]
    assert 0.69 < min(shares) < 0.72 and 0.98 < max(shares) <= 1
    assert all(abs(zoom.width - 2 * zoom.height) <= 1 for zoom in zooms)
    assert all(zoom.top + zoom.height <= 480 and zoom.left + zoom.width <= 960 for zoom in zooms)
    assert 150 < sum(zoom.mirrored for zoom in zooms) < 350
    assert zooms == draw_zooms(seeded_draws(2, 0), 500, (480, 960))
    assert not any(zoom.mirrored for zoom in draw_zooms(seeded_draws(2, 0), 50, (480, 960), mirror=0))


def test_a_zoom_of_the_whole_image_changes_nothing_but_the_mirror() -> None:
    batch = drawn_batch(2)
    zoomed = zoom_batch(batch, [Zoom(0, 0, 48, 96, False), Zoom(0, 0, 48, 96, True)])
    torch.testing.assert_close(zoomed.images[0], batch.images[0])
    torch.testing.assert_close(zoomed.images[1], batch.images[1].flip(2))
    assert torch.equal(zoomed.targets[1].masks, batch.targets[1].masks.flip(2))


def test_a_zoom_enlarges_image_and_labels_alike() -> None:
    batch = drawn_batch(2)
    zoomed = zoom_batch(batch, [Zoom(12, 24, 24, 48, False)] * 2)
    for before, after in zip(batch.targets, zoomed.targets):
        assert torch.equal(after.semantic[::2, ::2], before.semantic[12:36, 24:72])
        assert torch.equal(after.masks.any(0), after.semantic == THING)


def test_a_mirror_twice_is_the_batch() -> None:
    batch = drawn_batch(5)
    twice = mirror_batch(mirror_batch(batch))
    assert torch.equal(twice.images, batch.images)
    assert all(torch.equal(a.masks, b.masks) for a, b in zip(twice.targets, batch.targets))
    assert not torch.equal(mirror_batch(batch).images, batch.images)
