from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from mbps_dataset.training.panoptic.scaled_views import (
    View,
    boxes_from_view,
    boxes_in_view,
    mean_masks,
    mean_probabilities,
    merge_boxes,
    view_pixels,
    views_of,
)
from tests.vectors import load_vectors


SIZE = (128, 256)


@pytest.fixture(scope="module")
def golden():
    return load_vectors("cascade/tta")


@pytest.fixture(scope="module")
def meta(golden):
    return json.loads(str(golden["meta_json"]))


def test_the_views_are_those_of_the_reference_vectors(golden, meta):
    views = views_of(SIZE)
    assert [view[:2] for view in views] == [tuple(shape) for shape in golden["view_shapes"].tolist()]
    assert [view.mirrored for view in views] == golden["view_flip"].tolist()
    assert [min(view[:2]) for view in views[::2]] == meta["min_sizes"]


def test_their_pixels_are_those_of_the_reference_vectors(golden):
    if "image" not in golden:
        pytest.skip("the copy of the vectors in tests/data leaves the picture out")
    image = torch.from_numpy(golden["image"]).float() / 255
    for number in (0, 1, 3):
        pixels = view_pixels(image, views_of(SIZE)[number])
        np.testing.assert_allclose(pixels[1, ::2, ::2], golden[f"view_image_{number}_ch1"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("number", range(6))
def test_boxes_go_there_and_back_as_in_the_reference_vectors(golden, number):
    view, boxes = views_of(SIZE)[number], torch.from_numpy(golden["boxes"])
    there = boxes_in_view(boxes, SIZE, view)
    np.testing.assert_allclose(there, golden[f"boxes_to_view_{number}"], rtol=0, atol=1e-3)
    back = boxes_from_view(torch.from_numpy(golden[f"boxes_to_view_{number}"]), SIZE, view)
    np.testing.assert_allclose(back, golden[f"boxes_from_view_{number}"], rtol=0, atol=1e-3)
    torch.testing.assert_close(back, boxes, rtol=0, atol=1e-3)


def test_boxes_of_all_views_are_merged_as_in_the_reference_vectors(golden, meta):
    boxes, scores, classes = (torch.from_numpy(golden[f"merge/{name}"]) for name in ("boxes", "scores", "classes"))
    above = meta["thresholds"]["merged_score"]
    found = merge_boxes(boxes, scores, classes, SIZE, above=above, max_iou=meta["thresholds"]["nms"])
    np.testing.assert_allclose(found.boxes, golden["merge/out_boxes"], rtol=0, atol=1e-2)
    np.testing.assert_array_equal(found.scores, golden["merge/out_scores"])
    np.testing.assert_array_equal(found.classes, golden["merge/out_classes"])


def test_no_boxes_are_merged_into_none() -> None:
    nothing = torch.zeros(0)
    assert len(merge_boxes(torch.zeros(0, 4), nothing, nothing.long(), SIZE)) == 0


def test_masks_of_all_views_are_averaged_as_in_the_reference_vectors(golden):
    masks = torch.from_numpy(golden["masks/in"]).float()
    np.testing.assert_allclose(mean_masks(list(masks), views_of(SIZE)), golden["masks/out"], rtol=0, atol=1e-5)


def test_class_probabilities_of_all_views_are_averaged_as_in_the_reference_vectors(golden, meta):
    logits = [
        torch.from_numpy((np.random.RandomState(seed).standard_normal(shape) * scale).astype(np.float32))
        for seed, shape, scale in meta["sem_views"]
    ]
    found = mean_probabilities(logits, views_of(SIZE), SIZE)
    np.testing.assert_allclose(found[:, ::4, ::4], golden["sem/out_sub4"], rtol=0, atol=1e-5)
    torch.testing.assert_close(found.sum(0), torch.ones(SIZE))


def test_the_published_sizes_and_the_longest_side() -> None:
    assert [view[:2] for view in views_of((1024, 2048))[::2]] == [(512, 1024), (768, 1536), (1024, 2048)]
    assert views_of((100, 401), (1.0,), longest=200)[0] == View(50, 200, False)
    with pytest.raises(ValueError, match="at least one scale"):
        views_of((10, 10), ())
    with pytest.raises(ValueError, match=r"Scale 0.05 leaves no pixel of an image of 10 × 10"):
        views_of((10, 10), (0.05,))


def test_a_mirror_mirrors_pixels_and_boxes_alike() -> None:
    image = torch.zeros(3, 10, 20)
    image[:, 2:5, 4:9] = 1
    view = View(10, 20, True)
    rows, columns = torch.nonzero(view_pixels(image, view)[0], as_tuple=True)
    (box,) = boxes_in_view(torch.tensor([[4.0, 2, 9, 5]]), (10, 20), view).tolist()
    assert box == [int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1]
