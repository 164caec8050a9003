from __future__ import annotations

import numpy as np
import pytest
import torch

from mbps_dataset.models.depthg import DepthGProbe
from mbps_dataset.stages.depth_guided_semantics import (
    CodeMaps,
    alpha_of_depth,
    fuse_resolutions,
    high_resolution_codes,
    image_for_crf,
    low_resolution_codes,
    sharpen,
)
from mbps_dataset.stages.network_pixels import imagenet_normalised
from tests.models.published import tensors
from tests.vectors import load_vectors


class SmallNetwork(torch.nn.Module):
    """Convolution of 8×8 pixels, ReLU, convolution of 3×3 cells: the network of the golden numbers."""

    def __init__(self, weights):
        super().__init__()
        self.patch = torch.nn.Conv2d(3, weights["patch.weight"].shape[0], 8, stride=8)
        self.head = torch.nn.Conv2d(self.patch.out_channels, weights["head.weight"].shape[0], 3, padding=1)
        self.load_state_dict({name: tensor for name, tensor in weights.items() if name != "clusters"})

    def code_map(self, pixels):
        return self.head(torch.relu(self.patch(pixels)))


@pytest.fixture(scope="module")
def vectors():
    return load_vectors("cups/semantic_inference")


@pytest.fixture(scope="module")
def network(vectors):
    return SmallNetwork(tensors(vectors))


@pytest.fixture(scope="module")
def score(vectors):
    probe = DepthGProbe(clusters=vectors["w/clusters"].shape[0], code_dim=vectors["w/clusters"].shape[1])
    probe.load_state_dict({"clusters": torch.from_numpy(vectors["w/clusters"])})
    return probe.requires_grad_(False).log_probs


@pytest.mark.parametrize("case", ["even", "pad"])
def test_both_resolutions_and_their_fusion_are_those_of_the_vector(case, vectors, network, score):
    image = torch.from_numpy(vectors[f"{case}/image_q32"]).float()[0] / 32
    disparity = torch.from_numpy(vectors[f"{case}/disparity_q64"].astype(np.float32)) / 64
    depth = float(vectors["fx_times_baseline"]) / (disparity + 1e-10) * disparity.sign()
    *stride, window_height, window_width, _, _ = vectors[f"{case}/stride_crop_pad"].tolist()
    windows = high_resolution_codes(network, image, window=(window_height, window_width), stride=tuple(stride))
    high, low = windows.merged(score), low_resolution_codes(network, image).merged(score)
    fused = fuse_resolutions(low, high, depth)
    np.testing.assert_allclose(alpha_of_depth(depth)[::2, ::2], vectors[f"{case}/alpha_sub2"], atol=1e-6)
    assert (depth == 0).any() and (depth > 0).any()
    for name, found in (("high", high), ("low", low), ("fused", fused)):
        np.testing.assert_allclose(found[:, ::4, ::4], vectors[f"{case}/{name}_sub4"], atol=2e-5)
    assert (fused.argmax(0).numpy() == vectors[f"{case}/argmax"]).mean() >= 0.9995


def test_windows_make_no_difference_in_batches(network, score):
    image = torch.randn(3, 64, 112, generator=torch.Generator().manual_seed(0))
    one, many = (
        high_resolution_codes(network, image, window=(32, 32), stride=(16, 16), batch_size=size).merged(score)
        for size in (1, 100)
    )
    torch.testing.assert_close(one, many)


def test_codes_kept_as_arrays_are_scored_as_before(network, score):
    image = torch.randn(3, 56, 112, generator=torch.Generator().manual_seed(0))  # padded above and below
    high = high_resolution_codes(network, image, window=(32, 32), stride=(16, 16))
    low = low_resolution_codes(network, image, scale=0.5)
    assert min(high.starts) == (-8, 0) and low.piece_hw == (56, 112)
    for codes in (high, low):
        assert torch.equal(CodeMaps.from_arrays(codes.as_arrays()).merged(score), codes.merged(score))
    assert torch.equal(high.merged(score)[:1], high.merged(lambda codes: score(codes)[:, :1]))
    assert low.merged().shape == (network.head.out_channels, 56, 112)


def test_a_mirror_image_counts_half(network):
    image = torch.randn(3, 32, 64, generator=torch.Generator().manual_seed(0))
    for encode in (
        lambda picture, flip: low_resolution_codes(network, picture, flip=flip),
        lambda picture, flip: high_resolution_codes(network, picture, window=(32, 32), stride=(32, 32), flip=flip),
    ):
        plain, mirrored = encode(image, False).merged(), encode(image.flip(-1), False).merged().flip(-1)
        torch.testing.assert_close(encode(image, True).merged(), (plain + mirrored) / 2)


def test_alpha_of_depth_and_of_none():
    depth = torch.tensor([0.0, 1.0, 4.0, -2.0, torch.nan, torch.inf])
    torch.testing.assert_close(alpha_of_depth(depth), torch.tensor([1, 0.5, 0.2, 1, 1, 1]))
    torch.testing.assert_close(alpha_of_depth(depth, invalid_alpha=0.25)[[0, 1, 3]], torch.tensor([0.25, 0.5, 0.25]))
    with pytest.raises(ValueError, match="`invalid_alpha` to be between 0 and 1, but got 2"):
        alpha_of_depth(depth, invalid_alpha=2)


def test_every_way_of_fusing():
    low, high = torch.full((2, 1, 2), -1.0), torch.full((2, 1, 2), -3.0)
    depth = torch.tensor([[1.0, 0.0]])
    assert fuse_resolutions(low, high, fusion="low") is low and fuse_resolutions(low, high, fusion="high") is high
    assert fuse_resolutions(low, high, fusion="average").unique().tolist() == [-2]
    assert fuse_resolutions(low, high, depth)[0].tolist() == [[-2, -1]]
    assert fuse_resolutions(low, high, depth, invalid_alpha=0.0)[0].tolist() == [[-2, -3]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fusion": "both"}, "`fusion` to be one of depth, average, low, high, but got 'both'"),
        ({"high": torch.zeros(2, 1, 3)}, r"share \[K, H, W\], but got \(2, 1, 2\) and \(2, 1, 3\)"),
        ({}, r"`depth` to be \(1, 2\) as the scores are, but got none"),
        ({"depth": torch.ones(2, 2)}, r"`depth` to be \(1, 2\) as the scores are, but got \(2, 2\)"),
    ],
)
def test_what_cannot_be_fused_is_refused(arguments, message):
    given = {"low": torch.zeros(2, 1, 2), "high": torch.zeros(2, 1, 2), **arguments}
    with pytest.raises(ValueError, match=message):
        fuse_resolutions(**given)


@pytest.mark.parametrize(
    ("shape", "window", "stride", "message"),
    [
        ((3, 64, 64), (32, 32), (16, 24), "a multiple of the stride, but its width is 32 with 24"),
        ((3, 64, 64), (32, 32), (0, 16), "a multiple of the stride, but its height is 32 with 0"),
        ((3, 24, 64), (32, 32), (16, 16), "no larger than the image, but their height is 32 of 24"),
        ((1, 64, 64), (32, 32), (16, 16), r"normalised \[3, H, W\], but got \(1, 64, 64\)"),
    ],
)
def test_windows_that_cannot_cover_the_image_are_refused(network, shape, window, stride, message):
    with pytest.raises(ValueError, match=message):
        high_resolution_codes(network, torch.zeros(shape), window=window, stride=stride)


def test_values_after_the_round_trip_are_those_of_the_vector():
    every = torch.arange(256, dtype=torch.float32).expand(3, 1, 256) / 255
    normalised = imagenet_normalised(every)
    truncated = image_for_crf(normalised, truncate=True)
    np.testing.assert_array_equal(truncated[0].T, load_vectors("cups/crf_image_table")["rgb_value_after_round_trip"])
    np.testing.assert_array_equal(image_for_crf(normalised)[0].T, np.tile(np.arange(256), (3, 1)))


@pytest.mark.parametrize("backend", ["torch", "pydensecrf"])
def test_sharpened_scores_are_those_of_the_vector(backend):
    if backend == "pydensecrf":
        pytest.importorskip(
            "pydensecrf", reason="pydensecrf is not installed (pip install 'mbps-dataset[crf-parity]')"
        )
    vectors = load_vectors("cups/crf_stage1")
    normalised = imagenet_normalised(torch.from_numpy(vectors["image_rgb"]).float() / 255)
    scores = torch.from_numpy(vectors["log_probs_q64"].astype(np.float32)) / 64
    found = sharpen(scores, image_for_crf(normalised, truncate=True), backend=backend)
    np.testing.assert_allclose(found[:, ::4, ::4], vectors["q_sub4"], atol=1e-4)
    assert (
        found.argmax(0).numpy() == vectors["argmax"]
    ).mean() >= 0.9995  # all of them here; ties are decided by rounding
    reversed_labels = sharpen(
        scores, image_for_crf(normalised, truncate=True), channel_order="rgb", backend=backend
    ).argmax(0)
    agreeing = (reversed_labels.numpy() == vectors["argmax_reversed_channels"]).mean()
    assert agreeing >= 0.99 > (reversed_labels.numpy() == vectors["argmax"]).mean()  # the order alone moves some 4 %


def test_without_iterations_scores_become_probabilities():
    scores = torch.randn(3, 8, 9, generator=torch.Generator().manual_seed(0))
    found = sharpen(scores, np.zeros((8, 9, 3), np.uint8), iterations=0)
    torch.testing.assert_close(found, scores.softmax(0), atol=1e-4, rtol=0)
