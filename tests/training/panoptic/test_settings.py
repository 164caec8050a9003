"""Settings of panoptic training are checked when they are made."""

from __future__ import annotations

import pytest

from mbps_dataset.errors import RecipeError
from mbps_dataset.training.panoptic.settings import PanopticTrainingSettings


@pytest.mark.parametrize(("changes", "said"), [
    ({"crop": (10,)}, r"crop must be two numbers, height and width, or none, but is \(10,\)"),
    ({"crop": (0, 10)}, "crop must be at least 1"),
    ({"steps": 0}, "steps must be at least 1"),
    ({"mirror": 1.5}, "mirror must be between 0 and 1"),
    ({"self_enhanced_after": 10}, "self_enhanced_after says what copy_paste copies; set copy_paste too"),
    ({"self_labels_after": 10}, "self_labels_after needs a teacher, the moving average; set average_decay=0.999 too"),
    ({"rounds": 2}, "rounds are of self-training; set self_labels_after too"),
    ({"trained": "necks"}, "trained must be one of 'all', 'heads', 'self-training'"),
    ({"schedule": "step"}, "schedule must be one of 'cosine', 'constant'"),
])  # fmt: skip
def test_what_cannot_be(changes: dict, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        PanopticTrainingSettings(**changes)


def test_no_crop() -> None:
    assert PanopticTrainingSettings(crop=()).crop == ()


def test_rounds_are_equal_parts_of_self_training() -> None:
    def begins(**changes: int) -> list[int]:
        settings = PanopticTrainingSettings(steps=20, average_decay=0.9, **changes)
        return [step for step in range(20) if settings.begins_round(step)]

    assert begins(self_labels_after=8, rounds=3) == [12, 16] and begins(self_labels_after=8) == begins() == []
    assert begins(self_labels_after=9, rounds=3) == [13, 17]
