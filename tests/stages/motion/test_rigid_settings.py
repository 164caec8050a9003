from __future__ import annotations

import pytest

from mbps_dataset.errors import RecipeError
from mbps_dataset.stages.motion.rigid_settings import RigidMotionSettings


def test_corners_connect_unless_told_otherwise():
    assert RigidMotionSettings().connectivity == 8
    assert RigidMotionSettings(corners_connect=False).connectivity == 4


def test_a_value_out_of_range_is_named():
    with pytest.raises(RecipeError, match="rigid_motion.runs must be .* but is 0"):
        RigidMotionSettings(runs=0)
