from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mbps_dataset.errors import WeightsError
from mbps_dataset.models.spidepth import QueryDecoder
from tests.examples import examples
from tests.models.published import tensors
from tests.vectors import load_vectors

from .reference_weights import meta_weights


@pytest.fixture(scope="module")
def arrays():
    return load_vectors("spidepth_decoder_small")


@pytest.fixture(scope="module")
def decoder(arrays):
    return QueryDecoder.from_reference(tensors(arrays), **json.loads(str(arrays["config_json"])))


@torch.no_grad()
def test_every_intermediate_result_is_that_of_the_reference_vectors(arrays, decoder):
    features = torch.from_numpy(arrays["feat"])
    tokens = decoder.tokens(features)
    energies, summaries = decoder.attend(features)
    fractions = decoder.bin_fractions(summaries)
    np.testing.assert_allclose(tokens, arrays["token_out"], atol=2e-5)
    np.testing.assert_allclose(tokens[:, :10], arrays["queries"], atol=2e-5)
    np.testing.assert_allclose(energies[:, :, ::4, ::4], arrays["energy_sub4"], atol=2e-5)
    np.testing.assert_allclose(summaries, arrays["summaries"], atol=2e-5)
    np.testing.assert_allclose(fractions, arrays["bin_fracs"], atol=2e-5)
    np.testing.assert_allclose(decoder.bin_edges(fractions), arrays["bin_edges"], atol=1e-4)  # range 0.01 to 80


@torch.no_grad()
def test_depth_is_that_of_the_reference_vectors(arrays, decoder):
    np.testing.assert_allclose(decoder(torch.from_numpy(arrays["feat"])), arrays["disp"], atol=1e-4)


def test_all_sizes_can_be_read_from_the_tensors(arrays, decoder):
    read = QueryDecoder.from_reference(tensors(arrays))
    features = torch.from_numpy(arrays["feat"])
    with torch.no_grad():
        torch.testing.assert_close(read(features), decoder(features))


def test_the_published_decoder_fits_tensor_for_tensor():
    decoder = QueryDecoder.from_reference(meta_weights("spidepth_decoder"))
    assert sum(parameter.numel() for parameter in decoder.parameters()) == 3_738_816


@examples(10)
@given(seed=st.integers(0, 2**16), scale=st.floats(0.1, 100.0))
def test_depth_stays_in_its_range_and_bins_tile_it(seed, scale):
    torch.manual_seed(seed)
    decoder = QueryDecoder(
        in_channels=4, embedding_dim=8, patch_size=4, queries=3, bins=5, heads=2, feedforward=8, min_depth=1.0
    ).eval()
    with torch.no_grad():
        features = torch.randn(2, 4, 8, 12) * scale
        edges = decoder.bin_edges(decoder.bin_fractions(decoder.attend(features)[1]))
        depth = decoder(features)
    assert depth.shape == (2, 1, 8, 12)
    assert torch.all(edges.diff(dim=1) > 0)
    np.testing.assert_allclose(edges[:, [0, -1]], [[1.0, 80.0]] * 2, rtol=1e-5)
    assert depth.min() >= 1.0 and depth.max() <= 80.0 * (1 + 1e-5)


@pytest.mark.parametrize("size", [(4, 8), (40, 80)])
def test_a_map_with_too_few_or_too_many_patches_is_refused(size):
    decoder = QueryDecoder(in_channels=2, embedding_dim=4, patch_size=4, queries=4, bins=3, heads=2, positions=50)
    with pytest.raises(ValueError, match="of 4 to 50 patches of 4 pixels"):
        decoder(torch.zeros(1, 2, *size))


def test_a_stated_size_that_the_tensors_do_not_have_is_refused(arrays):
    with pytest.raises(WeightsError, match=r"would fit: in_channels=16.*dim_out=12"):
        QueryDecoder.from_reference(tensors(arrays), dim_out=64)


def test_an_unknown_argument_is_refused(arrays):
    with pytest.raises(TypeError, match="no argument bins"):
        QueryDecoder.from_reference(tensors(arrays), bins=12)


def test_a_tensor_of_another_rank_is_refused(arrays):
    weights = tensors(arrays)
    weights["convert_to_prob.0.weight"] = weights["convert_to_prob.0.weight"].flatten(1)
    with pytest.raises(WeightsError, match=r"expected `convert_to_prob.0.weight` to have 4 dimensions"):
        QueryDecoder.from_reference(weights)
