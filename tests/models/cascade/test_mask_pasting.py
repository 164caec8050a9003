from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from mbps_dataset.models.cascade.detections import Detections, rescale_detections
from mbps_dataset.models.cascade.mask_pasting import paste_masks
from tests.models.cascade.drawn_weights import cascade_vectors, masks, noise, tensor


def pasted(probabilities, boxes, size):
    ids = torch.arange(len(boxes))
    return paste_masks(probabilities, boxes, size, class_ids=ids, scores=ids / 10)


def test_pasted_masks_are_those_of_the_vector():
    vectors, _ = cascade_vectors("mask_head")
    probabilities, boxes = tensor(vectors["paste/probs"]), tensor(vectors["paste/boxes"])
    size = tuple(vectors["paste/shape"].tolist())
    found = pasted(probabilities, boxes, size)
    assert found.areas.tolist() == vectors["paste/areas"].tolist()
    assert np.array_equal(found.masks(), masks(vectors["paste/masks_packed"], *size))
    width = (boxes[:, 2] > boxes[:, 0]).numpy()  # without one the reference divides 0 by 0; here nothing is painted
    soft, painted = vectors["paste/soft_sub3"], found.masks()[:, ::3, ::3]
    assert np.array_equal(painted[width], soft[width] >= 0.5)
    assert not painted[~width].any() and np.isnan(soft[~width]).all()


def test_masks_at_another_size_are_those_of_the_vector():
    vectors, _ = cascade_vectors("mask_head")
    boxes, rows = tensor(vectors["post/in_boxes"]), torch.arange(8)
    given = Detections(boxes, rows / 10, rows, rows, tensor(vectors["paste/probs"]))
    found, _ = rescale_detections(given, (120, 180), (60, 90))
    assert np.array_equal(
        pasted(found.masks, found.boxes, (60, 90)).masks(), masks(vectors["post/masks_packed"], 60, 90)
    )


def test_it_is_bilinear_sampling_of_the_whole_image():
    """Against `grid_sample`, and the small windows against the whole image."""
    probabilities = noise(7, (6, 28, 28)).sigmoid()
    corners = noise(8, (6, 2)).abs() * 12 - 6
    boxes = torch.cat([corners, corners + noise(9, (6, 2)).abs() * 30 + 0.5], dim=1)
    y, x = torch.arange(40) + 0.5, torch.arange(50) + 0.5
    grids = []
    for x0, y0, x1, y1 in boxes.tolist():
        v, u = torch.meshgrid((y - y0) / (y1 - y0) * 2 - 1, (x - x0) / (x1 - x0) * 2 - 1, indexing="ij")
        grids.append(torch.stack([u, v], dim=-1))
    wanted = functional.grid_sample(probabilities[:, None], torch.stack(grids), align_corners=False)[:, 0]
    found = pasted(probabilities, boxes, (40, 50))
    clear = ((wanted - 0.5).abs() > 1e-4).numpy()  # where rounding decides nothing
    assert clear.mean() > 0.99 and np.array_equal(found.masks()[clear], (wanted >= 0.5).numpy()[clear])
    assert found.class_ids.tolist() == list(range(6)) and found.shape == (40, 50)


def test_a_box_outside_the_image_has_no_pixel():
    assert pasted(torch.ones(1, 28, 28), torch.tensor([[60.0, 10, 70, 20]]), (40, 50)).areas.tolist() == [0]
