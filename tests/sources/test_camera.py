"""A camera that follows its image through resizing and cropping."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from mbps_dataset.errors import InputError
from mbps_dataset.sources.camera import Camera


CAMERA = Camera(721.5, 718.0, 609.6, 172.9, 0.54, (375, 1242))
POINTS = np.random.default_rng(0).uniform((-9, -2, 4), (9, 2, 60), (200, 3))


def project(camera: Camera, points: np.ndarray) -> np.ndarray:
    pixels = points @ camera.intrinsics.T
    return pixels[:, :2] / pixels[:, 2:]


def test_the_matrix_is_float64_and_projects():
    assert CAMERA.intrinsics.dtype == np.float64 and CAMERA.intrinsics.shape == (3, 3)
    np.testing.assert_allclose(project(CAMERA, np.array([[0.0, 0.0, 5.0], [5.0, 0.0, 5.0]])),
                               [[609.6, 172.9], [609.6 + 721.5, 172.9]])  # fmt: skip


@pytest.mark.parametrize("hw", [(188, 621), (750, 2484), (300, 700)])
def test_a_projected_point_keeps_its_place_in_the_resized_image(hw):
    scale = np.array([hw[1] / 1242, hw[0] / 375])
    expected = (project(CAMERA, POINTS) + 0.5) * scale - 0.5
    np.testing.assert_allclose(project(CAMERA.resized(hw), POINTS), expected, atol=1e-9)
    assert CAMERA.resized(hw).image_hw == hw and CAMERA.resized(hw).baseline_m == 0.54
    np.testing.assert_allclose(CAMERA.resized(hw).resized((375, 1242)).intrinsics, CAMERA.intrinsics)


def test_a_projected_point_keeps_its_pixel_through_a_crop_and_a_resize():
    cropped = CAMERA.cropped(7, 69, (368, 1104))
    np.testing.assert_allclose(project(cropped, POINTS), project(CAMERA, POINTS) - (69, 7), atol=1e-9)
    assert cropped.image_hw == (368, 1104)
    both = cropped.resized((184, 552))
    np.testing.assert_allclose(project(both, POINTS), (project(CAMERA, POINTS) - (69, 7) + 0.5) / 2 - 0.5, atol=1e-9)
    margin = CAMERA.cropped(-10, -20, (395, 1282))
    np.testing.assert_allclose(project(margin, POINTS), project(CAMERA, POINTS) + (20, 10), atol=1e-9)


def test_the_pixel_of_a_real_resize_and_crop_is_the_projected_one():
    """A blob drawn at the projected point lies where the camera says after Pillow has cropped and resized the picture."""
    camera, point = Camera(200.0, 200.0, 159.5, 79.5, 0.2, (160, 320)), np.array([[0.9, 0.3, 4.0]])
    rows, columns = np.indices(camera.image_hw)
    ((x, y),) = project(camera, point)
    blob = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 32).astype(np.float32)
    picture = Image.fromarray(blob).crop((60, 20, 300, 140)).resize((120, 80), Image.Resampling.BILINEAR)
    values = np.asarray(picture, np.float64)
    found = [(np.indices(values.shape)[axis] * values).sum() / values.sum() for axis in (1, 0)]
    moved = camera.cropped(20, 60, (120, 240)).resized((80, 120))
    np.testing.assert_allclose(found, project(moved, point)[0], atol=0.02)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fx": float("nan")}, "A camera's fx must be a finite number, but is nan."),
        ({"cy": float("inf")}, "A camera's cy must be a finite number, but is inf."),
        ({"fy": 0.0}, "A camera's fy must be positive, but is 0."),
        ({"baseline_m": -0.5}, "A camera's baseline_m must be positive, but is -0.5."),
        ({"image_hw": (0, 9)}, "A camera's image must have pixels, but its size is (0, 9)."),
    ],
)
def test_impossible_cameras_are_named(change, message):
    with pytest.raises(InputError) as caught:
        replace(CAMERA, **change)
    assert str(caught.value) == message
