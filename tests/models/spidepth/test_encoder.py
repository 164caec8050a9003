from __future__ import annotations

import pytest
import torch

from mbps_dataset.errors import WeightsError
from mbps_dataset.models.spidepth import DepthEncoder

from .reference_weights import drawn_weights, meta_weights


def test_the_published_huge_encoder_fits_tensor_for_tensor():
    encoder = DepthEncoder.from_reference(meta_weights("spidepth_encoder"))
    assert sum(parameter.numel() for parameter in encoder.parameters()) == 719_189_152


def test_features_have_half_the_resolution_of_the_image():
    encoder = DepthEncoder.from_reference(drawn_weights("atto_encoder", seed=606), size="atto")
    with torch.no_grad():
        assert encoder(torch.rand(2, 3, 64, 96)).shape == (2, 32, 32, 48)


def test_loading_takes_the_tensors_themselves():
    weights = drawn_weights("atto_encoder", seed=606)
    encoder = DepthEncoder.from_reference(weights, size="atto")
    grn = "encoder.stages_2.blocks.5.mlp.grn.weight"
    assert encoder.encoder.stages[2].layers[5].grn.weight.data_ptr() == weights[grn].data_ptr()


def test_numbers_beside_the_tensors_and_data_parallel_names_are_no_obstacle():
    weights = {f"module.{name}": tensor for name, tensor in meta_weights("atto_encoder").items()}
    DepthEncoder.from_reference({**weights, "height": 320, "width": 1024, "use_stereo": False}, size="atto")


def test_half_precision_becomes_float32():
    weights = {k: v.half() if v.is_floating_point() else v for k, v in meta_weights("atto_encoder").items()}
    encoder = DepthEncoder.from_reference(weights, size="atto")
    assert {parameter.dtype for parameter in encoder.parameters()} == {torch.float32}


def test_tensors_of_another_size_name_the_size_that_fits():
    with pytest.raises(WeightsError, match="configuration that would fit: size='atto'"):
        DepthEncoder.from_reference(meta_weights("atto_encoder"), size="huge")


def test_a_missing_tensor_is_named_as_in_the_file():
    weights = meta_weights("atto_encoder")
    del weights["encoder.stages_1.blocks.0.mlp.grn.weight"]
    with pytest.raises(WeightsError, match=r"missing \(1\): encoder.stages_1.blocks.0.mlp.grn.weight"):
        DepthEncoder.from_reference(weights, size="atto")


def test_a_transposed_tensor_is_not_reshaped_silently():
    weights = meta_weights("atto_encoder")
    name = "encoder.stages_0.blocks.0.mlp.fc1.weight"
    weights[name] = weights[name].reshape(40, 160)
    with pytest.raises(WeightsError, match=r"stages_0.blocks.0.mlp.fc1.weight is \[40, 160\], expected \[160, 40\]"):
        DepthEncoder.from_reference(weights, size="atto")


def test_an_unknown_size_lists_the_known():
    with pytest.raises(WeightsError, match="No ConvNeXtV2 of size 'giant'; there are atto"):
        DepthEncoder.from_reference({}, size="giant")


def test_the_decoder_file_given_for_the_encoder_is_refused():
    with pytest.raises(WeightsError, match="no tensor `decoder.blocks.0.conv1.conv.weight`"):
        DepthEncoder.from_reference(meta_weights("spidepth_decoder"))


@pytest.mark.parametrize("shape", [(1, 3, 31, 64), (3, 64, 64), (1, 1, 64, 64)])
def test_an_image_that_is_too_small_or_no_rgb_batch_is_refused(shape):
    encoder = DepthEncoder(channels=(4, 4, 4, 4), depths=(1, 1, 1, 1), decoder_channels=(4, 4, 4, 4), model_dim=4)
    with pytest.raises(ValueError, match=r"image batch \[B, 3, H, W\] of at least 32x32"):
        encoder(torch.zeros(shape))
