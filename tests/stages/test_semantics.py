from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch.nn import functional

from mbps_dataset.models.cause import CauseSegmenter
from mbps_dataset.stages.network_pixels import network_pixels
from mbps_dataset.stages.overclustering import cluster_logits
from mbps_dataset.stages.semantics import (
    DOUBLE_ALPHA,
    SINGLE_ALPHA,
    WindowCodes,
    crf_probabilities,
    label_map,
    mean_of_scales,
    merge_codes,
    merge_log_probs,
    resize_for_windows,
    sliding_window_codes,
    sliding_window_log_probs,
    window_positions,
)
from tests.examples import examples
from tests.models.cause.cause_weights import drawn, noise, tiny_network
from tests.models.published import tensors
from tests.vectors import load_vectors, on_grid


TINY_WINDOWS = {"crop": 70, "stride": 35}


@pytest.fixture(scope="module")
def vectors() -> dict[str, np.ndarray]:
    return load_vectors("cause_sliding_window")


@pytest.fixture(scope="module")
def image(vectors: dict[str, np.ndarray]) -> torch.Tensor:
    seed_grid = torch.from_numpy(vectors["image_seed_grid"])
    return functional.interpolate(seed_grid, size=(322, 644), mode="bilinear", align_corners=False)[0]


@pytest.fixture(scope="module")
def tiny() -> CauseSegmenter:
    return tiny_network()


def reference_network(vectors: dict[str, np.ndarray], code_dim: int, seed: int) -> CauseSegmenter:
    """The network of the golden numbers; what inference does not use keeps any value."""
    template = tensors(load_vectors("cause_head_small"))
    shapes = {name: list(tensor.shape) for name, tensor in template.items() if not name.startswith("linear")}
    swap = {32: 36, 96: 108, 49: 529, 10: code_dim}
    shapes = {name: [swap.get(side, side) for side in shape] for name, shape in shapes.items()}
    probe = vectors["cluster_probe"] if code_dim == 10 else np.ones((27, code_dim), dtype=np.float32)
    return CauseSegmenter.from_reference(
        backbone=tensors(load_vectors("cause_vit_small")),
        segment={name: drawn(name, shape, seed) for name, shape in shapes.items()},
        cluster={"cluster_probe": torch.from_numpy(probe)},
        codebook=vectors["codebook"],
        heads=3,
    )


@torch.no_grad()
def test_sliding_windows_give_the_numbers_of_the_vectors(vectors: dict[str, np.ndarray], image: torch.Tensor) -> None:
    network = reference_network(vectors, code_dim=10, seed=404)
    one = sliding_window_codes(network, image[:, :, :322])
    single = network.probe.log_probs(one.codes.flatten(2).transpose(1, 2))
    np.testing.assert_allclose(single, vectors["single_crop_logits"], atol=2e-4)
    merged = sliding_window_log_probs(network, image)
    np.testing.assert_allclose(merged[:, ::14, ::14], on_grid(vectors, "merged_logits", 14), atol=2e-4)
    assert (label_map(merged) == vectors["argmax_full"]).mean() >= 0.999
    probs = crf_probabilities(merged)
    np.testing.assert_allclose(probs[:, ::14, ::14], on_grid(vectors, "softmax3", 14), atol=2e-4)


@torch.no_grad()
def test_merged_codes_and_over_clusters_are_those_of_the_vectors(
    vectors: dict[str, np.ndarray], image: torch.Tensor
) -> None:
    network = reference_network(vectors, code_dim=90, seed=505)
    codes = merge_codes(sliding_window_codes(network, image))
    np.testing.assert_allclose(codes[:, ::14, ::14], on_grid(vectors, "features90", 14), atol=2e-4)
    raw = cluster_logits(codes, vectors["centroids"])
    assert (label_map(raw) == vectors["raw_argmax_full"]).mean() >= 0.999


def test_batching_and_the_naive_loop_agree(tiny: CauseSegmenter) -> None:
    pixels = noise(1, (3, 70, 140))
    whole = sliding_window_codes(tiny, pixels, **TINY_WINDOWS)
    in_pairs = sliding_window_codes(tiny, pixels, **TINY_WINDOWS, batch_size=2)
    assert whole.positions == ((0, 0), (0, 35), (0, 70))
    torch.testing.assert_close(whole.codes, in_pairs.codes, atol=1e-5, rtol=1e-5)
    with torch.no_grad():
        for codes, (top, left) in zip(whole.codes, whole.positions):
            window = pixels[None, :, top : top + 70, left : left + 70]
            plain, mirrored = (tiny.codes(w)[0].T.reshape(10, 5, 5) for w in (window, window.flip(-1)))
            torch.testing.assert_close(codes, (plain + mirrored.flip(-1)) / 2, atol=1e-5, rtol=1e-5)
            bare = sliding_window_codes(tiny, window[0], **TINY_WINDOWS, flip=False)
            torch.testing.assert_close(bare.codes[0], plain, atol=1e-5, rtol=1e-5)


def test_half_precision_keeps_almost_all_labels(tiny: CauseSegmenter) -> None:
    pixels = noise(9, (3, 98, 140))
    half, full = (sliding_window_log_probs(tiny, pixels, **TINY_WINDOWS, autocast=flag) for flag in (True, False))
    assert half.dtype == torch.float32 and not torch.equal(half, full)
    assert (label_map(half) == label_map(full)).mean() > 0.95


def test_thread_count_does_not_change_labels(tiny: CauseSegmenter) -> None:
    pixels, before = noise(2, (3, 98, 140)), torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            results.append(sliding_window_log_probs(tiny, pixels, **TINY_WINDOWS))
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(*results, atol=1e-5, rtol=0)


def test_overlaps_are_averaged_as_log_probabilities() -> None:
    codes = torch.zeros(2, 2, 1, 1)
    codes[0, :, 0, 0], codes[1, :, 0, 0] = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    windows = WindowCodes(codes, ((0, 0), (0, 2)), (4, 6), crop=4)
    merged = merge_log_probs(windows, torch.eye(2), alpha=3.0)
    near, far = (float(v) for v in torch.log_softmax(torch.tensor([3.0, 0.0]), dim=0))
    expected = [near, near, (near + far) / 2, (near + far) / 2, far, far]
    np.testing.assert_allclose(merged[0], [expected] * 4, atol=1e-6)
    np.testing.assert_allclose(merge_codes(windows)[0, 0], [1, 1, 0.5, 0.5, 0, 0])


def test_alpha_once_and_twice() -> None:
    scores = torch.log_softmax(3 * noise(5, (4, 2, 3)), dim=0)
    torch.testing.assert_close(crf_probabilities(scores, temperature=SINGLE_ALPHA), scores.exp())
    torch.testing.assert_close(crf_probabilities(scores), torch.softmax(DOUBLE_ALPHA * scores, dim=0))
    as_array = crf_probabilities(scores.numpy())
    assert isinstance(as_array, np.ndarray) and as_array.dtype == np.float32
    np.testing.assert_allclose(as_array, crf_probabilities(scores), atol=1e-6)


def test_codes_survive_storage(tiny: CauseSegmenter) -> None:
    windows = sliding_window_codes(tiny, noise(3, (3, 84, 112)), **TINY_WINDOWS)
    arrays = windows.as_arrays()
    assert {name: (a.dtype.name, a.shape) for name, a in arrays.items()} == {
        "codes": ("float32", (6, 10, 5, 5)),
        "positions": ("int32", (6, 2)),
        "size": ("int32", (3,)),
    }
    again = WindowCodes.from_arrays(arrays)
    assert again.positions == windows.positions and again.image_hw == (84, 112) and again.crop == 70
    assert torch.equal(again.codes, windows.codes)
    expected = merge_log_probs(windows, tiny.probe.cluster_probe)
    torch.testing.assert_close(merge_log_probs(again, tiny.probe), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("image_hw", [(70, 70), (56, 70), (42, 98), (70, 84), (126, 182)])
def test_the_result_has_the_size_of_the_image(tiny: CauseSegmenter, image_hw: tuple[int, int]) -> None:
    scores = sliding_window_log_probs(tiny, noise(6, (3, *image_hw)), **TINY_WINDOWS)
    assert scores.shape == (6, *image_hw) and scores.dtype == torch.float32
    assert torch.isfinite(scores).all() and float(scores.max()) <= 1e-6


def test_small_images_are_padded_by_reflection(tiny: CauseSegmenter) -> None:
    pixels = noise(7, (3, 42, 56))
    padded = functional.pad(pixels[None], (0, 14, 0, 28), mode="reflect")[0]
    small = sliding_window_codes(tiny, pixels, **TINY_WINDOWS)
    torch.testing.assert_close(small.codes, sliding_window_codes(tiny, padded, **TINY_WINDOWS).codes)


@examples(60)
@given(side=st.integers(1, 900), crop=st.integers(1, 400), share=st.floats(0.01, 1))
def test_windows_cover_every_pixel(side: int, crop: int, share: float) -> None:
    stride = max(1, int(crop * share))
    starts = [left for _, left in window_positions((crop, side), crop, stride)]
    covered = np.zeros(max(side, crop), dtype=bool)
    for start in starts:
        covered[start : start + crop] = True
    assert covered.all() and starts == sorted(set(starts)) and starts[0] == 0
    assert starts[-1] == max(side - crop, 0)
    assert all(start % stride == 0 for start in starts[:-1])


@pytest.mark.parametrize(
    ("image_hw", "expected"),
    [((1024, 2048), (322, 644)), ((322, 322), (322, 322)), ((375, 1242), (322, 1064)), ((400, 300), (420, 322))],
)
def test_images_are_resized_as_published(image_hw: tuple[int, int], expected: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*image_hw, 3), dtype=np.uint8)
    resized = resize_for_windows(pixels)
    assert resized.shape == (*expected, 3) and resized.dtype == np.uint8
    pil = Image.fromarray(pixels).resize(expected[::-1], Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(resized, np.asarray(pil))


def test_several_scales(tiny: CauseSegmenter) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (100, 220, 3), dtype=np.uint8)
    once = sliding_window_log_probs(tiny, network_pixels(resize_for_windows(pixels, 70)), **TINY_WINDOWS)
    torch.testing.assert_close(mean_of_scales([once], once.shape[1:]), once)
    larger = sliding_window_log_probs(tiny, network_pixels(resize_for_windows(pixels, 140)), **TINY_WINDOWS)
    shrunk = functional.interpolate(larger[None], size=once.shape[1:], mode="bilinear", align_corners=False)[0]
    torch.testing.assert_close(mean_of_scales([once, larger], once.shape[1:]), (once + shrunk) / 2)


def test_small_scales_are_distorted_as_published_or_padded() -> None:
    pixels = np.zeros((1024, 2048, 3), dtype=np.uint8)
    assert resize_for_windows(pixels, round(0.75 * 322), minimum_side=322).shape == (322, 476, 3)
    assert resize_for_windows(pixels, round(0.75 * 322)).shape == (238, 476, 3)


def test_label_maps_have_room_for_every_cluster() -> None:
    scores = torch.zeros(300, 2, 2)
    scores[299, 0, 0] = 1
    assert label_map(scores).tolist() == [[299, 0], [0, 0]] and label_map(scores).dtype == np.uint16
    assert label_map(scores[:254].numpy()).dtype == np.uint8


def test_bad_input(tiny: CauseSegmenter) -> None:
    with pytest.raises(ValueError, match=r"uint8 \[H, W, 3\], but got float64"):
        resize_for_windows(np.zeros((4, 4, 3)))
    with pytest.raises(ValueError, match=r"normalised \[3, h, w\], but got \(1, 3, 70, 70\)"):
        sliding_window_codes(tiny, torch.zeros(1, 3, 70, 70), **TINY_WINDOWS)
    with pytest.raises(ValueError, match="too small for windows of 70 pixels"):
        sliding_window_codes(tiny, torch.zeros(3, 28, 70), **TINY_WINDOWS)
    with pytest.raises(ValueError, match="`stride` to be between 1 and `crop`"):
        window_positions((70, 70), 70, 71)
    with pytest.raises(ValueError, match="one map per position"):
        WindowCodes(torch.zeros(2, 3, 1, 1), ((0, 0),), (4, 4), 4)
    windows = WindowCodes(torch.zeros(1, 3, 1, 1), ((0, 0),), (4, 4), 4)
    with pytest.raises(ValueError, match=r"probe to be \[K, 3\].*\(5, 2\)"):
        merge_log_probs(windows, torch.zeros(5, 2))
    with pytest.raises(ValueError, match="at least one window"):
        merge_codes(WindowCodes(torch.zeros(0, 3, 1, 1), (), (4, 4), 4))
