from __future__ import annotations

import pytest

from mbps_dataset.errors import RecipeError
from mbps_dataset.models.raft import RaftConfig


def test_four_levels_need_a_hundred_and_twenty_eight_pixels():
    assert RaftConfig().smallest_side == 128 and RaftConfig(levels=2).smallest_side == 32


def test_lists_from_a_json_file_become_tuples():
    assert RaftConfig(encoder_widths=[4, 4, 6, 8]).encoder_widths == (4, 4, 6, 8)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"encoder_widths": (4, 4, 6)}, r"encoder_widths must be 4 numbers, but is \(4, 4, 6\)"),
        ({"flow_widths": (4, 0)}, "flow_widths must be between 1 and 65536, but is 0"),
        ({"feature_dim": 10**9}, "feature_dim must be between 1 and 65536"),
        ({"motion_dim": 2}, "motion_dim must be between 3 and"),
        ({"levels": 0}, "levels must be between 1 and 8, but is 0"),
        ({"radius": 99}, "radius must be between 1 and 32"),
        ({"updates": 0}, "updates must be between 1 and 1000"),
        ({"context_norm": "layer"}, "context_norm must be instance or batch, but is 'layer'"),
        ({"lookup_order": "x"}, "lookup_order must be row-major or column-major, but is 'x'"),
        ({"hidden_dim": "8"}, "hidden_dim must be of type int"),
    ],
)
def test_sizes_that_cannot_be_built_are_refused(values, message):
    with pytest.raises(RecipeError, match=message):
        RaftConfig(**values)
