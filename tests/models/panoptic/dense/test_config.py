from __future__ import annotations

import pytest

from mbps_dataset.errors import RecipeError
from mbps_dataset.models.panoptic.dense import DenseConfig


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"class_names": ()}, "class_names must be 1 to 255 names"),
        ({"thing_ids": (2,)}, "but 2 is none"),
        ({"widths": (8, 8)}, r"widths must be 5 numbers, but is \(8, 8\)"),
        ({"blocks": (1,) * 5}, "blocks must be 4 numbers"),
        ({"centre_window": 4}, "centre_window must be odd, but is 4"),
        ({"centre_sigma": 0.0}, "centre_sigma must be between 0.1 and 1000"),
        ({"hardest_share": 1.5}, "hardest_share must be between 0.001 and 1"),
        ({"network": "mask2former"}, "network must be one of 'dense'"),
    ],
)
def test_what_cannot_be_built_is_refused(changed, message):
    with pytest.raises(RecipeError, match=message):
        DenseConfig(**({"class_names": ("road", "car")} | changed))
