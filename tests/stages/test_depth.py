from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from mbps_dataset.stages import depth
from tests.examples import examples
from tests.vectors import load_vectors


images = arrays.arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40), st.just(3)))
maps = arrays.arrays(
    np.float32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.floats(0.125, 80, width=32)
)


def brightness(image):
    """A stand-in network: depth is the mean colour of each 2×2 block, plus a bias that grows to the right."""
    pooled = torch.nn.functional.avg_pool2d(image.mean(dim=1, keepdim=True), 2)
    return pooled + torch.linspace(0, 1, pooled.shape[-1])


def test_flip_enlargement_and_normalisation_are_those_of_the_reference_vectors():
    golden = load_vectors("spidepth_postproc")
    joined = depth.merge_flipped(*(torch.from_numpy(golden[name]) for name in ("pred", "pred_of_flipped")))[0, 0]
    full = depth.resize(joined, 512, 1024)
    normalised = depth.to_unit_range(full.numpy())
    np.testing.assert_allclose(normalised[::4, ::4], golden["final_sub4"], atol=1e-6)
    assert float(full.min()) == pytest.approx(float(golden["final_min"]), rel=1e-6)
    assert float(full.max()) == pytest.approx(float(golden["final_max"]), rel=1e-6)


def test_the_image_is_resized_by_pillow_and_not_standardised():
    image = np.random.default_rng(0).integers(0, 256, (50, 90, 3), dtype=np.uint8)
    prepared = depth.prepare(image, height=32, width=64)
    expected = np.asarray(Image.fromarray(image).resize((64, 32), Image.Resampling.LANCZOS))
    assert prepared.shape == (3, 32, 64) and prepared.dtype == torch.float32
    np.testing.assert_array_equal(np.round(prepared.numpy() * 255), expected.transpose(2, 0, 1))


@examples(20)
@given(images)
def test_prepared_values_stay_in_range_at_the_published_size(image):
    prepared = depth.prepare(image, height=32, width=48)
    assert prepared.min() >= 0 and prepared.max() <= 1


def test_the_published_input_size_is_the_default():
    assert depth.prepare(np.zeros((100, 200, 3), np.uint8)).shape == (3, 320, 1024)


@pytest.mark.parametrize("image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32)])
def test_anything_but_an_rgb_image_is_refused(image):
    with pytest.raises(ValueError, match="RGB image"):
        depth.prepare(image)


def test_averaging_makes_the_depth_of_the_mirror_image_the_mirrored_depth():
    image = torch.rand(3, 16, 24, generator=torch.Generator().manual_seed(0))
    straight = depth.predict(brightness, image)
    mirrored = depth.predict(brightness, image.flip(-1))
    torch.testing.assert_close(mirrored.flip(-1), straight, atol=1e-6, rtol=0)
    assert not torch.allclose(depth.predict(brightness, image, flip="none"), straight)


def test_the_ramp_takes_each_border_from_one_prediction():
    straight, other = torch.zeros(2, 101), torch.ones(2, 101)
    blended = depth.merge_flipped(straight, other, flip="ramp")
    assert torch.all(blended[:, :6] == 1) and torch.all(blended[:, -6:] == 0)
    torch.testing.assert_close(blended[:, 10:91], torch.full((2, 81), 0.5), atol=1e-5, rtol=0)
    assert torch.all(blended.diff(dim=1) <= 1e-6)


def test_numpy_in_numpy_out():
    image = np.random.default_rng(1).random((3, 8, 12), dtype=np.float32)
    predicted = depth.predict(brightness, image)
    assert isinstance(predicted, np.ndarray) and predicted.shape == (4, 6)
    np.testing.assert_allclose(predicted, depth.predict(brightness, torch.from_numpy(image)).numpy(), atol=1e-6)
    assert isinstance(depth.resize(predicted, 8, 12), np.ndarray)
    assert isinstance(depth.to_unit_range(torch.from_numpy(predicted)), torch.Tensor)


def test_a_network_in_training_mode_is_refused():
    with pytest.raises(ValueError, match="training mode; call its `eval"):
        depth.predict(torch.nn.Identity(), torch.zeros(1, 2, 2))


def test_an_unknown_flip_is_refused():
    with pytest.raises(ValueError, match="one of mean, ramp, none, but is 'max'"):
        depth.predict(brightness, torch.zeros(3, 4, 4), flip="max")


@examples(30)
@given(maps)
def test_normalised_depth_spans_zero_to_one_and_keeps_the_order(values):
    normalised = depth.to_unit_range(values)
    assert normalised.dtype == np.float32
    if values.max() - values.min() < 1e-6:
        assert not normalised.any()
    else:
        assert normalised.min() == 0 and normalised.max() == 1
    assert np.all(np.diff(normalised.ravel()[np.argsort(values.ravel(), kind="stable")]) >= 0)


def test_zero_is_a_depth_for_normalisation():
    np.testing.assert_array_equal(depth.to_unit_range(np.array([[0.0, 1.0], [2.0, 4.0]])), [[0, 0.25], [0.5, 1]])


def test_unknown_pixels_neither_stretch_the_range_nor_make_an_edge():
    values = np.array([[2.0, 2.0, np.nan, 6.0, np.inf]])
    np.testing.assert_array_equal(depth.to_unit_range(values)[0, [0, 1, 3, 4]], [0, 0, 1, 1])
    assert depth.to_unit_range(values)[0, 2] in (0, 1)
    assert not depth.to_unit_range(np.full((2, 2), np.nan)).any()


def test_zero_and_negative_depth_are_unknown_when_filling_and_inverting():
    values = np.array([[4.0, 4.0, 0.0, -1.0, 2.0]], dtype=np.float32)
    np.testing.assert_array_equal(depth.fill_unknown(values), [[4, 4, 4, 2, 2]])
    np.testing.assert_array_equal(depth.invert(values), [[0.25, 0.25, np.nan, np.nan, 0.5]])
    assert not depth.fill_unknown(np.zeros((2, 3))).any()


@examples(20)
@given(maps)
def test_inverting_twice_gives_depth_back(values):
    np.testing.assert_allclose(depth.invert(depth.invert(values)), values, rtol=1e-6)


def test_the_ego_car_is_cut_off_at_the_bottom():
    image = np.arange(8, dtype=np.uint8)[:, None, None] * np.ones((1, 2, 3), np.uint8)
    assert depth.crop_ego_car(image)[:, 0, 0].tolist() == [0, 1, 2, 3, 4, 5]
    assert depth.crop_ego_car(image, 0.0).shape == image.shape
    with pytest.raises(ValueError, match=r"share of rows in \[0, 1\) to crop, but got 1"):
        depth.crop_ego_car(image, 1)


def test_largest_depth_is_that_of_the_scene_and_not_of_strays():
    scene = np.linspace(5, 80, 10_000, dtype=np.float32).reshape(100, 100)
    assert depth.largest_without_strays(scene) == 80
    for value in (np.nan, np.inf, 0.0, -3.0, 1_963.0, 1e30):
        strays = scene.copy()
        strays[0, ::2] = value
        assert depth.largest_without_strays(strays) == 80, value
    assert depth.largest_without_strays(np.zeros((2, 2), np.float32)) == np.inf
    assert depth.largest_without_strays(np.full((2, 2), 7, np.float32)) == 7


def test_clipping_keeps_what_is_unknown_and_counts():
    values = np.array([[0, 5, 9, np.nan, np.inf]], np.float32)
    clipped, count = depth.clip(values, 6.0)
    assert count == 1 and np.array_equal(clipped, np.array([[0, 5, 6, np.nan, np.inf]], np.float32), equal_nan=True)
    untouched, none = depth.clip(values, np.inf)
    assert none == 0 and untouched is values
