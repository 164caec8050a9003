"""DIS and SGBM on pictures whose motion is known: shifted textures, rendered streets."""

from __future__ import annotations

import pickle
import sys

import numpy as np
import pytest
import torch
from scipy import ndimage

from mbps_dataset.errors import RecipeError
from mbps_dataset.models.opencv_flow import OpenCvFlow
from mbps_dataset.scenes import SceneSettings, render, render_stereo_video
from mbps_dataset.scenes.camera import BASELINE_M


cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed (pip install 'mbps-dataset[motion]')")


@pytest.fixture(scope="module")
def texture():
    noise = np.random.default_rng(0).random((200, 400, 3))
    return ndimage.gaussian_filter(noise, (1.5, 1.5, 0)) * 3 - 1


def as_batch(picture):
    return torch.from_numpy(np.ascontiguousarray(picture.clip(0, 1))).permute(2, 0, 1)[None].float()


def test_the_flow_of_a_shifted_picture_is_the_shift(texture):
    first, second = as_batch(texture[20:150, 20:300]), as_batch(texture[22:152, 15:295])  # x + 5, y - 2
    flow = OpenCvFlow().flow(first, second)
    assert flow.shape == (1, 2, 130, 280) and flow.dtype == torch.float32
    inside = flow[0, :, 16:-16, 16:-16].flatten(1).median(dim=1).values
    torch.testing.assert_close(inside, torch.tensor([5.0, -2.0]), atol=0.1, rtol=0)


def test_the_fine_preset_is_grossly_wrong_in_fewer_pixels_than_medium():
    street = render_stereo_video(2_000_001, SceneSettings(height=192, width=384))
    first, second = (as_batch(view.image / 255) for view in (street.left, street.next_left))
    errors = []
    for preset in ("medium", "fine"):
        flow = OpenCvFlow(preset).flow(first, second)[0].numpy()
        errors.append(np.linalg.norm(flow - street.truth.flow, axis=0)[street.truth.flow_seen])
    medium, fine = ((error > 3).mean() for error in errors)
    assert fine < 0.9 * medium


@pytest.mark.parametrize("first_eye", ["left", "right"])
def test_the_disparity_of_a_shifted_picture_is_the_shift_up_to_both_borders(texture, first_eye):
    left, right = (
        as_batch(texture[:120, 20:300]),
        as_batch(texture[:120, 32:312]),
    )  # x in the left is x - 12 in the right
    pair = (left, right) if first_eye == "left" else (right, left)
    disparity = OpenCvFlow(most_disparity=32).disparity(*pair, first_eye=first_eye)
    assert disparity.shape == (1, 120, 280) and disparity.min() >= 0
    seen = disparity[0, :, 16:] if first_eye == "left" else disparity[0, :, :-16]  # what both eyes see
    assert ((seen - 12).abs() < 0.5).float().mean() > 0.95


def test_disparity_of_a_rendered_street_is_near_its_true_one():
    settings = SceneSettings(height=192, width=384)
    left, right = (render(3, settings, right=eye) for eye in (False, True))
    found = OpenCvFlow(most_disparity=64).disparity(*(as_batch(view.image / 255) for view in (left, right)))[0].numpy()
    known = (found > 0) & (left.depth > 0)
    true = left.intrinsics.fx * BASELINE_M / left.depth[known]
    assert known.mean() > 0.5 and np.median(np.abs(found[known] - true)) < 0.5


def test_images_of_a_batch_do_not_know_of_each_other(texture):
    first, second = (torch.cat([as_batch(texture[y : y + 60, x : x + 80]) for y in (0, 90)]) for x in (40, 45))
    network = OpenCvFlow(most_disparity=16)
    for method in (network.flow, network.disparity):
        alone = torch.cat([method(first[i : i + 1], second[i : i + 1]) for i in range(2)])
        assert torch.equal(method(first, second), alone)


def test_the_number_of_threads_changes_nothing(texture):
    first, second = as_batch(texture[:, :300]), as_batch(texture[:, 7:307])
    network, threads, found = OpenCvFlow(), cv2.getNumThreads(), []
    try:
        for number in (1, 2, 4):
            cv2.setNumThreads(number)
            found.append((network.flow(first, second), network.disparity(first, second)))
    finally:
        cv2.setNumThreads(threads)
    assert all(torch.equal(a, b) for other in found[1:] for a, b in zip(found[0], other))


@pytest.mark.parametrize("height_width", [(1, 1), (5, 7), (33, 20)])
def test_images_of_any_size_are_taken(height_width):
    image = torch.rand(1, 3, *height_width, generator=torch.Generator().manual_seed(0))
    network = OpenCvFlow(most_disparity=16)
    assert network.flow(image, image).shape == (1, 2, *height_width)
    assert network.disparity(image, image).shape == (1, *height_width)


def test_it_says_that_it_saw_nothing_and_passes_to_other_processes():
    network = OpenCvFlow(preset="fast")
    assert network.supervision.startswith("none") and pickle.loads(pickle.dumps(network)) == network


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"preset": "best"}, "preset must be one of ultrafast, fast, medium, fine, but is 'best'"),
        ({"most_disparity": 100}, "most_disparity must be a positive multiple of 16, but is 100"),
        ({"most_disparity": 0}, "most_disparity must be a positive multiple of 16, but is 0"),
        ({"block": 4}, "block must be odd and positive, but is 4"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(RecipeError, match=message):
        OpenCvFlow(**settings)


def test_an_eye_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="first_eye to be 'left' or 'right', but got 'third'"):
        OpenCvFlow().disparity(torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 8), first_eye="third")


def test_without_opencv_the_line_that_installs_it_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(RecipeError, match=r"pip install 'mbps-dataset\[motion\]'"):
        OpenCvFlow()
