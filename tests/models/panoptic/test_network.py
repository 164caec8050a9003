from __future__ import annotations

import pytest
import torch

from mbps_dataset.models.panoptic import VOID, PanopticTarget


def target(count: int = 2, size: tuple[int, int] = (4, 6), **changed: torch.Tensor) -> PanopticTarget:
    given = {
        "semantic": torch.full(size, VOID),
        "masks": torch.zeros(count, *size, dtype=torch.bool),
        "class_ids": torch.zeros(count, dtype=torch.int64),
    }
    return PanopticTarget(**(given | changed))


def test_a_target_goes_to_a_device_whole():
    moved = target().to("cpu")
    assert moved.masks.shape == (2, 4, 6) and moved.semantic.tolist() == [[VOID] * 6] * 4
    assert len(target(0).class_ids) == 0


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"masks": torch.zeros(2, 4, 5, dtype=torch.bool)}, r"Expected masks \[N, H, W\] of a map .* got \(2, 4, 5\)"),
        ({"class_ids": torch.zeros(3)}, "N class ids, but got .* and 3"),
        ({"semantic": torch.zeros(1, 4, 6)}, r"\(1, 4, 6\)"),
        ({"masks": torch.zeros(2, 4, 6)}, "Expected masks of bool, but got torch.float32"),
    ],
)
def test_what_does_not_fit_is_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        target(**changed)
