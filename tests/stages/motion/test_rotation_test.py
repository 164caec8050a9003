from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mbps_dataset.stages.motion.rotation_test import half_rotation, turns_plausibly
from tests.stages.motion.rigid_vectors import load_parts


@pytest.mark.parametrize("reference", [False, True])
def test_similarities_and_what_is_kept_are_those_of_the_vectors(reference):
    golden = load_parts("sf_rotation_test")
    found = half_rotation(golden["background"], golden["object"], reference=reference)
    clear = golden["similarity"] > 5e-4
    assert clear.sum() > 10
    np.testing.assert_allclose(found[clear], golden["similarity"][clear], atol=1e-4)
    near_limit = np.abs(golden["similarity"] - 0.02) < 1e-4
    kept = turns_plausibly(golden["background"], golden["object"], reference=reference)
    np.testing.assert_array_equal(kept[~near_limit], golden["kept"][~near_limit] > 0)


def turned(angle: float) -> np.ndarray:
    transform = np.eye(4)
    transform[:3, :3], transform[:3, 3] = Rotation.from_rotvec([0, angle, 0]).as_matrix(), (5, 0, 0)
    return transform


def test_half_the_angle_decides_and_the_translation_does_not():
    objects = np.stack([turned(angle) for angle in (0.0, 1e-4, 0.038, 0.042)])
    np.testing.assert_allclose(half_rotation(np.eye(4), objects), [0, 5e-5, 0.019, 0.021], atol=1e-6)
    assert turns_plausibly(np.eye(4), objects).tolist() == [True, True, True, False]
    assert turns_plausibly(np.eye(4), objects, largest=0.01).tolist() == [True, True, False, False]


def test_the_published_angle_may_be_unknown_and_then_keeps_the_object():
    beyond = np.eye(4)[None] * 1.01
    assert np.isnan(half_rotation(np.eye(4), beyond, reference=True)).all()
    assert turns_plausibly(np.eye(4), beyond, reference=True).all()
