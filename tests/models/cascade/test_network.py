"""The network whole: golden numbers end to end, then a small one that learns, predicts, and is saved."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from mbps_dataset.errors import RecipeError
from mbps_dataset.models.cascade import CascadeConfig, CascadeMaskRCNN
from mbps_dataset.models.cascade.network import class_probabilities, objects_of, semantic_channels
from mbps_dataset.models.panoptic.loading import load_panoptic
from mbps_dataset.models.panoptic.network import PanopticTarget
from mbps_dataset.models.panoptic.starting import changed_panoptic
from tests.models.cascade.drawn_weights import (
    BASE_SEED,
    assert_gradient_norms,
    cascade_vectors,
    drawn,
    first_come,
    masks,
    tensor,
)
from tests.models.cascade.published_shapes import published_shapes
from tests.models.cascade.tiny_network import TINY, street, tiny_network


def published(system, overrides=None):
    """A network of published names and shapes whose tensors are drawn from their names."""
    state = {}
    for name, shape in published_shapes(system).items():
        own = name.removeprefix("model.")
        seed = next((seed for part, seed in (overrides or {}).items() if part in own), BASE_SEED)
        values = drawn(own, shape, seed)
        state[name] = values.clone() if "running" in name else values
    return CascadeMaskRCNN.from_reference(state, system=system)


def image_of(vectors, name="image"):
    return tensor(vectors[name]).float()[None] / 255


def assert_found(found, vectors, part, size):
    boxes = found.detections
    np.testing.assert_allclose(boxes.boxes, vectors[f"{part}/boxes"], atol=1e-2)
    np.testing.assert_allclose(boxes.scores, vectors[f"{part}/scores"], atol=1e-4)
    assert boxes.classes.tolist() == vectors[f"{part}/classes"].tolist()
    assert np.abs(found.instances.areas - vectors[f"{part}/mask_area"]).max() <= 2
    if f"{part}/masks_packed" in vectors:
        assert (found.instances.masks() == masks(vectors[f"{part}/masks_packed"], *size).numpy()).mean() > 0.9999
    if found.semantic is not None:
        np.testing.assert_allclose(found.semantic[:, ::8, ::8], vectors[f"{part}/sem_logits_sub8"], atol=1e-3)
        assert (found.semantic.argmax(0).numpy() == vectors[f"{part}/sem_argmax"]).mean() > 0.999


def assert_merged(panoptic, vectors, part, first_thing):
    assert (panoptic.segment_map == vectors[f"{part}/panoptic"]).mean() > 0.999
    listed = json.loads(str(vectors[f"{part}/segments_json"]))
    assert [(one.isthing, one.class_id) for one in panoptic.segments] == [
        (one["isthing"], one["category_id"] + first_thing if one["isthing"] else one["category_id"] - 1)
        for one in listed
    ]


def test_cups_end_to_end_is_that_of_the_vector():
    vectors, meta = cascade_vectors("e2e_cups")
    network = published("cups", meta["overrides"])
    (found,) = network.find(image_of(vectors))
    assert_found(found, vectors, "native", (128, 192))
    panoptic = network.merge(found)
    assert_merged(panoptic, vectors, "native", 19)
    assert (panoptic.semantic() == vectors["native/standard_semantic"]).mean() > 0.999
    assert (panoptic.instance() == vectors["native/standard_instance"]).mean() > 0.999
    (found,) = network.find(image_of(vectors)[..., :120, :180], (60, 100))
    assert_found(found, vectors, "resized", (60, 100))
    assert_merged(network.merge(found), vectors, "resized", 19)


def test_u2seg_end_to_end_is_that_of_the_vector():
    vectors, meta = cascade_vectors("e2e_u2seg")
    network = published("u2seg", meta["overrides"])
    network.configure(merge_score=meta["combine_score"])
    (found,) = network.find(image_of(vectors), tuple(meta["out"]))
    assert network.config.box_score == meta["score_thresh_test"]
    assert_found(found, vectors, "out", meta["out"])
    assert_merged(network.merge(found), vectors, "out", 27)


def test_cutler_end_to_end_is_that_of_the_vector():
    vectors, meta = cascade_vectors("e2e_cutler")
    network = published("cutler", meta["overrides"])
    for threshold in ("0.0", "0.35"):
        network.configure(box_score=float(threshold))
        (found,) = network.find(image_of(vectors), tuple(meta["out"]))
        assert_found(found, vectors, f"thr{threshold}", meta["out"])
    assert found.semantic is None and not class_probabilities(found, network.config).any()


def test_training_of_cups_is_that_of_the_vector():
    vectors, _ = cascade_vectors("e2e_train_cups")
    network = published("cups").train()
    network.configure(boxes_hold_last_pixel=True)  # as the boxes of these numbers do
    targets = []
    for image in range(2):
        labels = tensor(vectors[f"sem_{image}"]).long()  # 0 any thing, 1 … 19 stuff
        semantic = torch.where(labels == 255, 255, torch.where(labels == 0, 19, labels - 1))
        found = masks(vectors[f"gt_masks_packed_{image}"], 128, 192)
        targets.append(PanopticTarget(semantic, found, 19 + tensor(vectors[f"gt_classes_{image}"])))
        assert objects_of(targets[-1], network.config).boxes.tolist() == vectors[f"gt_boxes_{image}"].tolist()
    losses = network.losses(
        torch.cat([image_of(vectors, f"image_{image}") for image in range(2)]),
        targets,
        proposals=[tensor(vectors[f"proposals_{image}"]) for image in range(2)],
        order=first_come,
    )
    assert len(losses) == 10
    for name, loss in losses.items():
        assert loss.item() == pytest.approx(float(vectors[f"loss/{name}"]), rel=1e-4), name
    total = torch.stack(list(losses.values())).sum()
    assert total.item() == pytest.approx(float(vectors["total_loss"]), rel=1e-4)
    total.backward()
    assert_gradient_norms(network, "", vectors["grad_norm_keys"], vectors["grad_norms"], rtol=5e-3)
    norms = torch.stack([p.grad.norm() for p in network.parameters() if p.grad is not None])
    assert norms.norm().item() == pytest.approx(float(vectors["total_grad_norm"]), rel=5e-3)


@pytest.fixture(scope="module")
def tiny():
    return tiny_network()


def test_a_prediction_has_the_size_of_its_image_and_the_classes_of_the_network(tiny):
    image, _ = street(50, 70)
    (first, second) = tiny.predict(torch.cat([image, image.flip(-1)]))
    assert first.panoptic.segment_map.shape == first.instances.shape == (50, 70)
    assert first.semantic_probabilities.shape == (4, 50, 70)
    torch.testing.assert_close(first.semantic_probabilities.sum(0), torch.ones(50, 70))
    assert (
        set(first.instances.class_ids.tolist()) <= {1, 3} and len(first.instances) == len(first.instances.scores) > 0
    )
    assert {one.class_id for one in first.panoptic.segments if not one.isthing} <= {0, 2}
    (alone,) = tiny.predict(image)
    assert np.array_equal(alone.panoptic.segment_map, first.panoptic.segment_map)
    assert not np.array_equal(second.panoptic.segment_map, first.panoptic.segment_map)


def test_things_are_probable_where_an_instance_says_which(tiny):
    (found,) = tiny.find(street()[0])
    probabilities = class_probabilities(found, TINY)
    any_thing = found.semantic.softmax(0)[0]
    torch.testing.assert_close(probabilities[1] + probabilities[3], any_thing)
    best = found.instances.masks()[0]
    class_id = int(found.instances.class_ids[0])
    torch.testing.assert_close(probabilities[class_id][best], any_thing[best])
    free = ~found.instances.masks().any(axis=0)
    torch.testing.assert_close(probabilities[1][free], any_thing[free])


def test_an_image_may_be_looked_at_in_another_size(tiny):
    image, _ = street()
    network = tiny_network()
    network.configure(short_side=96, longest_side=120)
    (prediction,) = network.predict(image)
    assert prediction.panoptic.segment_map.shape == (64, 96)
    assert not np.array_equal(prediction.semantic_probabilities, tiny.predict(image)[0].semantic_probabilities)


def test_what_was_changed_is_saved(tmp_path):
    network = tiny_network()
    network.configure(box_score=0.25, short_side=96)
    network.save_pretrained(tmp_path)
    again = CascadeMaskRCNN.from_pretrained(tmp_path)
    assert again.config == network.config and again.config.box_score == 0.25
    image, _ = street()
    assert np.array_equal(*(each.predict(image)[0].panoptic.segment_map for each in (network, again)))


def test_predicting_leaves_a_training_network_in_training_and_its_statistics_alone():
    network = tiny_network().train()
    before = network.backbone.bottom_up.stem.conv1.norm.running_mean.clone()
    network.predict(street()[0])
    assert network.training and torch.equal(network.backbone.bottom_up.stem.conv1.norm.running_mean, before)


@pytest.mark.parametrize("drop_loss", ["off", "as-coded", "all-boxes"])
def test_every_parameter_learns(drop_loss):
    network = tiny_network().train()
    network.configure(drop_loss=drop_loss)
    image, target = street(60, 90)
    losses = network.losses(image, [target])
    assert list(losses) == [
        "loss_sem_seg", "loss_rpn_cls", "loss_rpn_loc", "loss_cls_stage0", "loss_box_reg_stage0", "loss_cls_stage1",
        "loss_box_reg_stage1", "loss_cls_stage2", "loss_box_reg_stage2", "loss_mask",
    ]  # fmt: skip
    torch.stack(list(losses.values())).sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())


@pytest.mark.parametrize("drop_loss", ["as-coded", "all-boxes"])
def test_half_precision_has_the_same_losses_to_its_rounding(drop_loss):
    network, (image, target) = tiny_network().train(), street()
    network.configure(drop_loss=drop_loss)
    proposals = [torch.tensor([[8.0, 28, 52, 61], [58, 18, 72, 60], [0, 0, 40, 20]])]
    single = network.losses(image, [target], proposals=proposals, order=first_come)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = network.losses(image, [target], proposals=proposals, order=first_come)
    for name, loss in single.items():
        assert half[name].item() == pytest.approx(loss.item(), rel=0.1, abs=0.02), name
    torch.stack([loss.float() for loss in half.values()]).sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert network.predict(image)[0].semantic_probabilities.dtype == torch.float32


def test_losses_fall():
    torch.manual_seed(0)
    network = tiny_network().train()
    image, target = street()
    images, targets = torch.cat([image, image]), [target, target]
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3)
    totals = []
    for _ in range(12):
        total = torch.stack(list(network.losses(images, targets).values())).sum()
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
        totals.append(total.item())
    assert np.mean(totals[-3:]) < 0.7 * totals[0]


def test_an_image_without_objects_and_one_without_knowledge_have_losses(tiny):
    network = tiny_network().train()
    nothing = PanopticTarget(
        torch.full((64, 96), 255), torch.zeros(0, 64, 96, dtype=torch.bool), torch.zeros(0).long()
    )
    losses = network.losses(street()[0], [nothing])
    assert losses["loss_sem_seg"].item() == losses["loss_mask"].item() == losses["loss_rpn_loc"].item() == 0
    assert all(torch.isfinite(loss) for loss in losses.values())


def test_certainty_makes_soft_targets():
    network = tiny_network().train()
    image, target = street()

    def losses(**more):
        return network.losses(image, [target], order=first_come, **more)

    plain, sure, half = losses(), losses(certainty=[torch.ones(3)]), losses(certainty=[torch.full((3,), 0.5)])
    torch.testing.assert_close(plain, sure)
    torch.testing.assert_close(half["loss_mask"], plain["loss_mask"] / 2)
    assert half["loss_rpn_cls"] == plain["loss_rpn_cls"]


def test_targets_as_the_heads_learn_them():
    _, target = street()
    channels = semantic_channels(target, TINY)
    assert channels[0, 0] == 2 and channels[45, 2] == 1 and channels[40, 20] == channels[40, 65] == 0
    assert channels[-1, 0] == 255
    objects = objects_of(target, TINY, torch.tensor([0.5, 1, 0.2]))
    assert objects.classes.tolist() == [0, 1, 1] and objects.boxes[0].tolist() == [10, 30, 50, 60]
    empty = PanopticTarget(
        target.semantic, torch.cat([target.masks[:1], target.masks[:1] & False]), torch.tensor([1, 3])
    )
    assert objects_of(empty, TINY, torch.ones(2)).certainty.tolist() == [1]


def test_classes_that_are_none_are_refused(tiny):
    _, target = street()
    with pytest.raises(ValueError, match=r"Expected objects of the classes \[1, 3\], which are things, but got 2"):
        objects_of(PanopticTarget(target.semantic, target.masks, torch.tensor([1, 2, 3])), TINY)
    for wrong in (4, 300, -1):
        labels = target.semantic.clone()
        labels[5, 5] = wrong
        with pytest.raises(ValueError, match=f"Expected class ids below 4 or 255, but got {wrong}"):
            semantic_channels(PanopticTarget(labels, target.masks, target.class_ids), TINY)
    with pytest.raises(ValueError, match="Expected targets of sizes"):
        tiny.losses(torch.rand(1, 3, 32, 32), [target])


def test_saving_and_loading_changes_nothing(tiny, tmp_path):
    tiny.save_pretrained(tmp_path)
    network = load_panoptic(tmp_path)
    assert (
        isinstance(network, CascadeMaskRCNN)
        and network.config == TINY
        and network.supervision == "none: random; licence of the weights: none"
    )
    assert network.class_names == TINY.class_names and network.thing_ids == {1, 3}
    (wanted,), (found,) = (one.predict(street()[0]) for one in (tiny, network))
    assert np.array_equal(found.panoptic.segment_map, wanted.panoptic.segment_map)


def test_frozen_norms_predict_the_same_and_do_not_change():
    """As CUPS' stage 3 trains: `mbps train panoptic --start … --set network.norm=frozen`."""
    image = street()[0]
    (wanted,) = tiny_network().find(image)
    network = changed_panoptic(tiny_network(), {"norm": "frozen"})
    assert isinstance(network, CascadeMaskRCNN) and network.config.norm == "frozen"
    (found,) = network.find(image)
    torch.testing.assert_close(found.semantic, wanted.semantic, atol=1e-5, rtol=1e-4)
    before = {name: values.clone() for name, values in network.named_buffers()}
    network.train()
    losses = network.losses(image, [street()[1]])
    torch.stack(list(losses.values())).sum().backward()
    assert all(torch.equal(before[name], values) for name, values in network.named_buffers())


def test_sizes_cannot_be_changed_afterwards(tiny):
    with pytest.raises(RecipeError, match="thing_ids is built into the network"):
        tiny.configure(thing_ids=(1,))
    with pytest.raises(RecipeError, match="box_nms"):
        tiny.configure(box_nms=2.0)
    assert tiny.config == TINY and CascadeConfig().network == "cascade"
