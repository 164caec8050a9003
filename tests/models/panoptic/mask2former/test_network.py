from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import AutoModel

from mbps_dataset.errors import WeightsError
from mbps_dataset.models import networks
from mbps_dataset.models.cause import CauseSegmenter
from mbps_dataset.models.panoptic import VOID, PanopticTarget
from mbps_dataset.models.panoptic.loading import load_panoptic
from mbps_dataset.models.panoptic.mask2former import Mask2FormerPanoptic, Mask2FormerPanopticConfig
from mbps_dataset.models.panoptic.mask2former.backbones import backbone_configuration
from tests.models.panoptic.four_pictures import CLASS_NAMES, THING_IDS, four_pictures, learn_by_heart, share_found
from tests.models.panoptic.mask2former.backbones_for_tests import DINOV2, RESNET, SWIN


SIZES: dict[str, Any] = {
    "class_names": CLASS_NAMES, "thing_ids": THING_IDS, "width": 64, "heads": 4, "encoder_layers": 1,
    "encoder_feedforward": 64, "decoder_layers": 1, "decoder_feedforward": 64, "queries": 12, "supervision": "four pictures",
}  # fmt: skip


def small(backbone: dict[str, Any] = RESNET, seed: int = 0) -> Mask2FormerPanoptic:
    torch.manual_seed(seed)
    return Mask2FormerPanoptic(Mask2FormerPanopticConfig(**SIZES, backbone=backbone))


@pytest.mark.parametrize(
    "backbone",
    [
        pytest.param(RESNET, id="resnet"),
        pytest.param(SWIN, id="swin", marks=pytest.mark.nightly),
        pytest.param(DINOV2, id="dinov2", marks=pytest.mark.nightly),
    ],
)
def test_it_learns_four_pictures_by_heart(backbone):
    network, (images, targets) = small(backbone), four_pictures()
    assert share_found(network, images, targets) < 0.5
    learn_by_heart(network, images, targets, steps=80, rate=3e-3)
    assert share_found(network, images, targets) >= 0.9


@pytest.mark.nightly
def test_the_default_size_learns_four_pictures_by_heart():
    torch.manual_seed(0)
    network = Mask2FormerPanoptic(Mask2FormerPanopticConfig(class_names=CLASS_NAMES, thing_ids=THING_IDS))
    images, targets = four_pictures()
    learn_by_heart(network, images, targets, steps=80, rate=2e-4)
    assert share_found(network, images, targets) >= 0.9


def test_it_says_what_it_is():
    network = small()
    assert network.class_names == CLASS_NAMES and network.thing_ids == {2, 3}
    assert network.supervision == "four pictures"


@pytest.mark.parametrize("backbone", [RESNET, SWIN, DINOV2], ids=["resnet", "swin", "dinov2"])
def test_what_is_saved_is_what_is_loaded_and_images_have_any_size(backbone, tmp_path):
    network = small(backbone).eval()
    network.save_pretrained(tmp_path)
    loaded = load_panoptic(tmp_path)
    assert isinstance(loaded, Mask2FormerPanoptic) and loaded.config == network.config and not loaded.training
    images = torch.rand(1, 3, 45, 70)
    (first,), (second,) = network.predict(images), loaded.predict(images)
    assert first.semantic_probabilities.shape == (4, 45, 70)
    assert torch.equal(first.semantic_probabilities, second.semantic_probabilities)


def test_every_layer_teaches_and_void_does_not():
    network, (images, targets) = small(), four_pictures()
    assert len(network(images)) == 2
    losses = network.losses(images, targets)
    assert list(losses) == ["class", "mask", "dice"] and all(loss > 0 for loss in losses.values())
    unknown = [PanopticTarget(torch.full_like(t.semantic, VOID), t.masks, t.class_ids) for t in targets]
    losses = network.losses(images, unknown)
    assert all(loss == 0 for loss in losses.values())
    torch.stack(list(losses.values())).sum().backward()
    assert all(p.grad is None or not p.grad.any() for p in network.parameters())


def test_predicting_leaves_training_as_it_was():
    network, (images, _) = small(), four_pictures()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    network.predict(images)
    assert network.training and all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_a_pretrained_backbone_starts_it(tmp_path):
    pretrained = AutoModel.from_config(backbone_configuration(DINOV2))
    pretrained.save_pretrained(tmp_path)
    network = Mask2FormerPanoptic.on_backbone(tmp_path, **SIZES)
    ours, theirs = network.backbone.transformer.state_dict(), pretrained.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert network.config.backbone["hidden_size"] == 48


def test_the_backbone_of_shipped_weights_starts_it():
    folder = networks.WEIGHTS_ROOT / "cause"
    network = Mask2FormerPanoptic.on_backbone(folder, **SIZES)
    theirs = CauseSegmenter.from_pretrained(folder).backbone.model.state_dict()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in network.backbone.transformer.state_dict().items())
    assert network.predict(torch.rand(1, 3, 40, 60))[0].panoptic.segment_map.shape == (40, 60)


def test_what_is_no_backbone_is_refused():
    folder = networks.WEIGHTS_ROOT / "attention"
    with pytest.raises(
        WeightsError, match="is a network of the kind dinov3_vit; as a backbone, give one of swin, resnet"
    ):
        Mask2FormerPanoptic.on_backbone(folder, **SIZES)


def test_half_precision_gives_nearly_the_same_losses():
    network, (images, targets) = small(), four_pictures()
    whole = network.losses(images, targets)
    with torch.autocast("cpu", torch.bfloat16):
        half = network.losses(images, targets)
    for name in whole:
        assert half[name].dtype == torch.float32 and torch.isclose(half[name], whole[name], rtol=0.1)
