from __future__ import annotations

import pytest

from mbps_dataset.errors import RecipeError
from mbps_dataset.models.panoptic.mask2former import Mask2FormerPanopticConfig


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"class_names": ()}, "class_names must be 1 to 255 names"),
        ({"thing_ids": (5,)}, "but 5 is none"),
        ({"width": 80}, "width must be a multiple of 32, but is 80"),
        ({"width": 96, "heads": 5}, "width must be a multiple of heads, but is 96"),
        ({"network": "dense"}, "network must be one of 'mask2former'"),
        ({"backbone": ["swin"]}, r"backbone must be of type dict\[str, typing.Any\], but is \['swin'\]"),
        ({"backbone": {"model_type": "vgg"}}, "backbone must have a model_type of swin, resnet, .* but has 'vgg'"),
        ({"unknown_share": 1.1}, "unknown_share must be between 0 and 1"),
    ],
)
def test_what_cannot_be_built_is_refused(changed, message):
    with pytest.raises(RecipeError, match=message):
        Mask2FormerPanopticConfig(**({"class_names": ("road", "car")} | changed))
