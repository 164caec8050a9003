from __future__ import annotations

import numpy as np
import pytest
import torch

from mbps_dataset.models.flow import cropped, disparity_of_flow, padded, padding_to, require_pair


def test_disparity_is_the_possible_sign_of_the_horizontal_flow():
    flow = torch.tensor([[[-3.0, 2.0]], [[9.0, 9.0]]])
    assert disparity_of_flow(flow, "left").tolist() == [[3, 0]]
    assert disparity_of_flow(flow, "right").tolist() == [[0, 2]]
    assert disparity_of_flow(flow.numpy()[None], "left").tolist() == [[[3, 0]]]
    with pytest.raises(ValueError, match="first_eye to be 'left' or 'right', but got 'both'"):
        disparity_of_flow(flow, "both")


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 5), r"of one shape \[B, 3, H, W\], but got \(1, 3, 4, 4\)"),
        (torch.zeros(3, 4, 4), torch.zeros(3, 4, 4), "of one shape"),
        (torch.zeros(1, 3, 4, 4).byte(), torch.zeros(1, 3, 4, 4), "Expected float images in .* got torch.uint8"),
        (torch.zeros(1, 3, 4, 4), torch.full((1, 3, 4, 4), 255.0), "values from 0 to 255"),
        (torch.full((1, 3, 4, 4), -0.5), torch.zeros(1, 3, 4, 4), "values from -0.5 to 0"),
        (torch.full((1, 3, 4, 4), torch.nan), torch.zeros(1, 3, 4, 4), "values from nan"),
    ],
)
def test_what_is_no_pair_of_images_is_refused(first, second, message):
    with pytest.raises(ValueError, match=message):
        require_pair(first, second)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (127, 129), (128, 136), (375, 1242)])
def test_padding_fits_and_is_taken_off_again(height, width):
    image = torch.from_numpy(np.random.default_rng(0).random((1, 2, height, width)))
    padding = padding_to(height, width, multiple_of=8, at_least=128)
    larger = padded(image, padding)
    assert all(side >= 128 and side % 8 == 0 for side in larger.shape[-2:])
    assert larger.shape[-1] - width < max(8, 129 - width) and torch.equal(cropped(larger, padding), image)
    assert torch.equal(larger[0, :, 0, 0], image[0, :, 0, 0]) and torch.equal(
        larger[0, :, -1, -1], image[0, :, -1, -1]
    )
