from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mbps_dataset.stages.motion.photometric_test import StereoImages, StereoView
from tests.stages.motion.textured_wall import CAMERA, EYES_M, SIDE, STILL, images_of, shifted


MIDDLE = np.stack(np.meshgrid(np.arange(30, 66), np.arange(30, 66))).reshape(2, -1)
DISPARITY = 8.0
MEASURED = np.full(MIDDLE.shape[1], DISPARITY)


def gain(true: np.ndarray, supposed: np.ndarray, measured: np.ndarray = MEASURED, **more) -> float:
    view = StereoView(images_of(true, DISPARITY, **more), CAMERA, EYES_M)
    return view.gain(STILL, supposed, MIDDLE, measured)


@pytest.mark.parametrize("step", [(0.25, 0, 0), (0, 0.2, 0), (-0.2, 0, 0.5)])
def test_what_moves_gains_by_its_motion(step):
    assert gain(shifted(*step), shifted(*step), noise=2.0) > 5


def test_what_stands_gains_nothing_by_a_motion_that_wrong_flow_gave():
    assert gain(STILL, shifted(0.25, 0, 0), noise=2.0) < 0.5


def test_what_stands_gains_nothing_by_a_motion_that_makes_up_for_a_wrong_depth():
    measured = MEASURED / 2  # twice as far: the motion that moves it back is the true motion at the wrong depth
    ego = shifted(0.2, 0, 0)
    made_up = shifted(0.4, 0, 0)
    view = StereoView(images_of(ego, DISPARITY, noise=2.0), CAMERA, EYES_M)
    assert view.gain(ego, made_up, MIDDLE, measured) < 1


def test_flat_images_tell_nothing():
    assert gain(shifted(0.25, 0, 0), shifted(0.25, 0, 0), contrast=0.0) == pytest.approx(1.0)


def test_patches_that_no_two_images_show_give_no_gain():
    far_away = shifted(50, 0, 0)
    view = StereoView(images_of(STILL, DISPARITY), CAMERA, EYES_M)
    edge = np.array([[0, 0], [0, SIDE - 1]])
    assert view.gain(far_away, far_away, edge, np.array([8.0, 8.0])) == 0.0
    behind = shifted(0, 0, -100)
    assert view.gain(STILL, behind, MIDDLE, MEASURED) == 0.0


def test_images_of_two_sizes_are_refused():
    images = images_of(STILL, DISPARITY)
    with pytest.raises(ValueError, match=r"Expected four images \(H, W, 3\) of one size"):
        replace(images, right=images.right[:, 1:])
    with pytest.raises(ValueError, match="of one size"):
        StereoImages(*[image[..., 0] for image in vars(images).values()])
