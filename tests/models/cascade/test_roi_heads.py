from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from mbps_dataset.models.cascade.config import CascadeConfig
from mbps_dataset.models.cascade.detections import select_detections
from mbps_dataset.models.cascade.roi_heads import Objects, RoiHeads, draw_proposals, image_of
from tests.models.cascade.drawn_weights import (
    assert_gradient_norms,
    cascade_vectors,
    first_come,
    levels,
    masks,
    tensor,
    with_drawn_weights,
)
from tests.models.cascade.tiny_network import TINY


@pytest.fixture(scope="module")
def heads():
    return with_drawn_weights(RoiHeads(CascadeConfig()), "roi_heads.")


@torch.no_grad()
def test_boxes_and_detections_are_those_of_the_vector(heads):
    vectors, meta = cascade_vectors("cascade_boxes")
    maps, sizes = levels(meta), [tuple(size) for size in meta["image_sizes"]]
    proposals = [tensor(vectors[f"proposals_{image}"]) for image in range(2)]
    outputs = heads.cascade(maps, proposals, sizes)
    for number, output in enumerate(outputs):
        np.testing.assert_allclose(output.boxes, vectors[f"in_boxes_{number}"], atol=1e-3)
        np.testing.assert_allclose(output.logits, vectors[f"logits_{number}"], atol=1e-3)
        np.testing.assert_allclose(output.codes, vectors[f"deltas_{number}"], atol=1e-3)
        np.testing.assert_allclose(output.refined, vectors[f"out_boxes_{number}"], atol=1e-3)
    scores = torch.stack([output.logits.softmax(1) for output in outputs]).mean(0)
    np.testing.assert_allclose(scores, vectors["mean_scores"], atol=1e-5)
    for threshold in ("0.5", "0.0"):
        for image, boxes in enumerate(outputs[-1].refined.split([len(one) for one in proposals])):
            score = scores.split([len(one) for one in proposals])[image]
            found = select_detections(boxes, score, sizes[image], above=float(threshold), max_iou=0.5, most=100)
            assert_detections(found, vectors, threshold, image)
    heads.config = replace(CascadeConfig(), box_score=0.2)
    for image, found in enumerate(heads.detect(maps, proposals, sizes)):
        assert_detections(found, vectors, "0.2", image)
        np.testing.assert_allclose(found.masks[:6], vectors[f"det0.2/mask_probs_{image}"], atol=1e-4)


def assert_detections(found, vectors, threshold, image):
    np.testing.assert_allclose(found.boxes, vectors[f"det{threshold}/boxes_{image}"], atol=1e-3)
    np.testing.assert_allclose(found.scores, vectors[f"det{threshold}/scores_{image}"], atol=1e-5)
    assert found.classes.tolist() == vectors[f"det{threshold}/classes_{image}"].tolist()


def objects_in(vectors, image, size, empty=False):
    boxes, classes = (tensor(vectors[f"gt_{name}_{image}"]) for name in ("boxes", "classes"))
    found = masks(vectors[f"gt_masks_packed_{image}"], *size)
    return Objects(boxes[:0], classes[:0], found[:0]) if empty else Objects(boxes, classes, found)


def loss_inputs(vectors, meta, *, one_empty=False):
    sizes = [tuple(size) for size in meta["image_sizes"]]
    objects = [objects_in(vectors, image, size, one_empty and image == 1) for image, size in enumerate(sizes)]
    return [tensor(vectors[f"proposals_{image}"]) for image in range(2)], sizes, objects


def test_drawn_proposals_are_those_of_the_vector():
    vectors, meta = cascade_vectors("losses")
    proposals, _, objects = loss_inputs(vectors, meta)
    for image in range(2):
        drawn = draw_proposals(proposals[image], objects[image], things=8, order=first_come)
        np.testing.assert_allclose(drawn.boxes, vectors[f"sampled/boxes_{image}"])
        np.testing.assert_allclose(drawn.object_boxes, vectors[f"sampled/gt_boxes_{image}"])
        assert drawn.classes.tolist() == vectors[f"sampled/gt_classes_{image}"].tolist()


@pytest.mark.parametrize(
    ("case", "form", "iou"),
    [
        ("plain", "off", 0.4),
        ("drop04", "as-coded", 0.4),
        ("drop001", "as-coded", 0.01),
        ("one_empty", "as-coded", 0.4),
    ],
)
def test_losses_and_gradients_are_those_of_the_vector(case, form, iou, heads):
    vectors, meta = cascade_vectors("losses")
    heads.config = replace(CascadeConfig(), drop_loss=form, drop_loss_iou=iou)
    heads.zero_grad()
    maps = [level.requires_grad_() for level in levels(meta)]
    proposals, sizes, objects = loss_inputs(vectors, meta, one_empty=case == "one_empty")
    losses = heads.losses(maps, proposals, sizes, objects, order=first_come)
    mask = losses.pop("loss_mask")
    for name, loss in losses.items():
        assert loss.item() == pytest.approx(float(vectors[f"{case}/{name}"]), rel=1e-5), name
    torch.stack(list(losses.values())).sum().backward(retain_graph=True)
    if case != "one_empty":
        assert_gradients(heads, maps, vectors, case)
        heads.zero_grad()
        for one in maps:
            one.grad = None
        assert mask.item() == pytest.approx(float(vectors["mask/loss_mask"]), rel=1e-5)
        mask.backward()
        assert_gradients(heads, maps, vectors, "mask")


def assert_gradients(heads, maps, vectors, case):
    keys, norms = vectors[f"{case}/grad_norm_keys"], vectors[f"{case}/grad_norms"]
    assert_gradient_norms(heads, "roi_heads.", keys, norms, rtol=1e-3)
    for level in range(4):
        found = 0.0 if maps[level].grad is None else maps[level].grad.norm().item()
        assert found == pytest.approx(float(vectors[f"{case}/grad_feat_norm/p{level + 2}"]), rel=1e-3)


def test_images_without_proposals_or_objects_make_finite_losses():
    torch.manual_seed(0)
    heads = RoiHeads(TINY)
    maps = [torch.randn(2, 16, 64 // stride, 96 // stride, requires_grad=True) for stride in (4, 8, 16, 32)]
    none = Objects(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), torch.zeros(0, 64, 96, dtype=torch.bool))
    losses = heads.losses(maps, [torch.zeros(0, 4)] * 2, [(64, 96)] * 2, [none, none])
    assert all(loss.item() == 0 for loss in losses.values())
    torch.stack(list(losses.values())).sum().backward()
    assert [len(found) for found in heads.detect(maps, [torch.zeros(0, 4)] * 2, [(64, 96)] * 2)] == [0, 0]


def test_soft_targets_reach_every_stage_and_the_masks():
    torch.manual_seed(0)
    heads = RoiHeads(TINY)
    maps = [torch.randn(1, 16, 64 // stride, 96 // stride) for stride in (4, 8, 16, 32)]
    found = torch.zeros(1, 64, 96, dtype=torch.bool)
    found[0, 8:40, 10:50] = True
    box, proposals = torch.tensor([[10.0, 8, 50, 40]]), [torch.tensor([[12.0, 9, 52, 44], [60, 5, 80, 50]])]
    objects = [Objects(box, torch.tensor([0]), found)]
    sizes = [(64, 96)]
    plain = heads.losses(maps, proposals, sizes, objects, order=first_come)
    sure = heads.losses(maps, proposals, sizes, [replace(objects[0], certainty=torch.ones(1))], order=first_come)
    half = heads.losses(maps, proposals, sizes, [replace(objects[0], certainty=torch.ones(1) / 2)], order=first_come)
    for name, loss in plain.items():
        torch.testing.assert_close(sure[name], loss)
        if not name.startswith("loss_cls"):
            torch.testing.assert_close(half[name], loss / 2)
        else:
            assert half[name] != loss


def test_the_image_of_each_box():
    assert image_of([torch.zeros(2, 4), torch.zeros(0, 4), torch.zeros(1, 4)]).tolist() == [0, 0, 2]
