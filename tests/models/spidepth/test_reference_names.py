from __future__ import annotations

import pytest

from mbps_dataset.models.spidepth.reference_names import our_name, published_name

from .reference_weights import shapes


@pytest.mark.parametrize(
    ("published", "ours"),
    [
        ("encoder.stem_0.weight", "encoder.embeddings.patch_embeddings.weight"),
        ("encoder.stages_3.downsample.1.bias", "encoder.stages.3.downsampling_layer.1.bias"),
        ("encoder.stages_2.blocks.26.mlp.fc2.weight", "encoder.stages.2.layers.26.pwconv2.weight"),
        ("decoder.blocks.0.conv1.bn.running_var", "decoder.blocks.0.conv1.bn.running_var"),
        ("stem_1.bias", "embeddings.layernorm.bias"),
        ("bins_regressor.0.weight", "bins_regressor.0.weight"),
    ],
)
def test_names_translate(published, ours):
    assert our_name(published) == ours
    assert published_name(ours) == published


@pytest.mark.parametrize("table", ["spidepth_encoder", "spidepth_decoder", "atto_encoder"])
def test_every_published_name_comes_back(table):
    assert all(published_name(our_name(name)) == name for name in shapes(table))
