from __future__ import annotations

from dataclasses import replace

import pytest

from mbps_dataset.errors import RecipeError
from mbps_dataset.models.cascade.config import CascadeConfig
from tests.models.cascade.tiny_network import TINY


def test_stuff_is_what_is_no_thing():
    assert TINY.stuff_ids == (0, 2) and TINY.stage_channels == (32, 64, 128, 256)
    assert CascadeConfig().stuff_ids == tuple(range(19)) and len(CascadeConfig().class_names) == 27


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"thing_ids": (3, 1)}, r"thing_ids must be ascending class ids below 4, .* but is \(3, 1\)"),
        ({"thing_ids": ()}, "at least one, but is"),
        ({"thing_ids": (4,)}, "below 4"),
        ({"stage_blocks": (1, 2)}, r"stage_blocks must be 4 numbers, but is \(1, 2\)"),
        ({"semantic_channels": 48}, "semantic_channels must be a multiple of 32, but is 48"),
        ({"class_names": tuple(map(str, range(65_536))), "thing_ids": (0,)}, "at most 65535, but there are 65536"),
        ({"norm": "group"}, "norm must be one of 'batch', 'frozen', but is"),
        ({"box_nms": 1.5}, "box_nms must be"),
        ({"drop_loss": "on"}, "drop_loss must be one of 'off', 'as-coded', 'all-boxes'"),
    ],
)
def test_what_cannot_be_is_refused(changes, message):
    with pytest.raises(RecipeError, match=message):
        replace(TINY, **changes)
