from __future__ import annotations

import pytest

from mbps_dataset.errors import RecipeError
from mbps_dataset.models.spidepth import ENCODER_SIZES, SPIdepthConfig


def test_the_default_is_the_published_network():
    config = SPIdepthConfig()
    assert (config.encoder_channels, config.encoder_depths) == ENCODER_SIZES["huge"]
    assert (config.queries, config.bins, config.min_depth, config.max_depth) == (64, 64, 0.01, 80.0)


def test_lists_become_tuples_so_that_a_configuration_read_back_is_equal():
    assert SPIdepthConfig(decoder_channels=[1024, 512, 256, 128]) == SPIdepthConfig()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"encoder_depths": (1, 1)}, "one value per encoder stage, but got 4 encoder_channels, 2 encoder_depths"),
        ({"min_depth": 5.0, "max_depth": 1.0}, "0 < min_depth < max_depth, but got 5.0 and 1.0"),
        ({"embedding_dim": 30}, "multiple of heads, but got 30 and 4"),
    ],
)
def test_sizes_that_cannot_be_built_are_refused(settings, message):
    with pytest.raises(RecipeError, match=message):
        SPIdepthConfig(**settings)
