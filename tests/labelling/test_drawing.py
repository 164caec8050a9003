"""Maps drawn in colour, and the preview of a row."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from mbps_dataset import taxonomy
from mbps_dataset.labelling import drawing


PALETTE = taxonomy.class_palette(taxonomy.CLASSES_19)


def test_classes_wear_their_colours_and_void_is_dark():
    palette = taxonomy.class_palette(taxonomy.CLASSES_19)
    picture = drawing.draw_classes(np.array([[0, 10, 255]], np.uint8), palette, 255)
    assert picture.tolist() == [[[128, 64, 128], [70, 130, 180], list(drawing.VOID_COLOUR)]]


def test_near_is_light_and_far_is_dark_and_unknown_is_neither():
    depth = np.concatenate([np.zeros(5), np.geomspace(1, 80, 95)]).reshape(1, 100).astype(np.float32)
    brightness = drawing.draw_depth(depth)[0].astype(int).sum(axis=1)
    assert brightness[6] > brightness[50] > brightness[98]
    assert brightness[0] == sum(drawing.VOID_COLOUR)
    assert (drawing.draw_depth(np.zeros((2, 2), np.float32)) == drawing.VOID_COLOUR).all()


def test_borders_separate_touching_instances():
    ids = np.array([[1, 1, 2], [1, 1, 2]])
    assert drawing.borders(ids).tolist() == [[False, True, False], [False, True, False]]


def test_instances_of_a_class_look_different():
    image = np.full((40, 60, 3), 128, np.uint8)
    instance = np.zeros((40, 60), np.uint16)
    instance[5:15, 5:25], instance[5:15, 30:50] = 1, 2
    drawn = drawing.draw_instances(image, instance)
    assert drawn[10, 10].tolist() != drawn[10, 40].tolist() != drawn[30, 30].tolist()
    panoptic = np.where(instance > 0, instance + 1, 1)
    segments = [{"id": 1, "category_id": 0, "isthing": False}] + [
        {"id": k, "category_id": 13, "isthing": True} for k in (2, 3)
    ]
    drawn = drawing.draw_panoptic(panoptic, segments, taxonomy.class_palette(taxonomy.CLASSES_19))
    assert drawn[10, 10].tolist() != drawn[10, 40].tolist()
    assert drawn[30, 30].tolist() == [128, 64, 128]


def street(height: int, width: int) -> tuple:
    """A road below the sky with a car on it: panoptic map, segments, depth."""
    panoptic = np.ones((height, width), np.int32)
    panoptic[height // 2 :] = 2
    panoptic[height // 2 : height * 3 // 4, : width // 2] = 3
    segments = [{"id": 1, "category_id": 10, "isthing": False}, {"id": 2, "category_id": 0, "isthing": False},
                {"id": 3, "category_id": 13, "isthing": True}]  # fmt: skip
    depth = np.geomspace(80, 2, height, dtype=np.float32)[:, None].repeat(width, 1)
    return panoptic, segments, depth


def opened(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        assert (image.format, image.mode) == ("JPEG", "RGB")
        return np.asarray(image).astype(int)


@pytest.mark.parametrize(
    ("size", "shown"),
    [((1024, 2048), (128, 512)), ((900, 300), (384, 256)), ((40, 64), (40, 128)), ((1, 900), (1, 512))],
)
def test_a_preview_is_class_colours_beside_depth_in_few_pixels(size, shown):
    data = drawing.encode_preview(*street(*size), PALETTE)
    picture = opened(data)
    assert picture.shape == (*shown, 3) and len(data) < 20_000
    if shown[0] > 1:
        half = shown[1] // 2
        assert np.abs(picture[shown[0] // 4, half // 2] - (70, 130, 180)).max() < 12  # sky
        assert np.abs(picture[-3, half // 2] - (128, 64, 128)).max() < 12  # road
        assert picture[-1, -half // 2].sum() > 400 > 100 > picture[0, -half // 2].sum()  # near is light


def test_a_preview_shows_no_depth_where_none_is_known():
    panoptic, segments, depth = street(40, 64)
    assert opened(drawing.encode_preview(panoptic, segments, depth * 0, PALETTE)).shape == (40, 64, 3)
    assert opened(drawing.encode_preview(panoptic, segments, depth * np.inf, PALETTE)).shape == (40, 64, 3)
    depth[0] = np.nan
    assert np.abs(opened(drawing.encode_preview(panoptic, segments, depth, PALETTE))[0, 100] - 20).max() < 40


def test_a_segment_too_small_for_the_preview_is_left_out():
    panoptic, segments, depth = street(1024, 2048)
    panoptic[0, 0] = 4
    more = [*segments, {"id": 4, "category_id": 7, "isthing": True}]
    assert drawing.encode_preview(panoptic, more, depth, PALETTE) == drawing.encode_preview(
        *street(1024, 2048), PALETTE
    )
