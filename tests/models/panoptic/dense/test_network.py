from __future__ import annotations

import pytest
import torch

from mbps_dataset.models.panoptic import VOID, PanopticTarget
from mbps_dataset.models.panoptic.dense import DenseConfig, DensePanoptic
from tests.models.panoptic.four_pictures import CLASS_NAMES, THING_IDS, four_pictures, learn_by_heart, share_found


SMALL = DenseConfig(
    class_names=CLASS_NAMES, thing_ids=THING_IDS, widths=(8, 16, 24, 32, 32), blocks=(1, 1, 1, 1), decoder_width=24,
    centre_sigma=4.0, centre_window=3, min_thing_area=20, supervision="four pictures",
)  # fmt: skip


def small(seed: int = 0) -> DensePanoptic:
    torch.manual_seed(seed)
    return DensePanoptic(SMALL)


def test_it_learns_four_pictures_by_heart():
    network, (images, targets) = small(), four_pictures()
    assert share_found(network, images, targets) < 0.5
    learn_by_heart(network, images, targets, steps=50, rate=1e-2)
    assert share_found(network, images, targets) >= 0.9


@pytest.mark.nightly
def test_the_default_size_learns_four_pictures_by_heart():
    torch.manual_seed(0)
    network = DensePanoptic(DenseConfig(class_names=CLASS_NAMES, thing_ids=THING_IDS, min_thing_area=20))
    images, targets = four_pictures()
    learn_by_heart(network, images, targets, steps=150, rate=3e-3)
    assert share_found(network, images, targets) >= 0.9


def test_the_default_size_fits_eight_megabytes():
    network = DensePanoptic(DenseConfig(class_names=tuple(map(str, range(54))), thing_ids=(3,)))
    assert sum(4 * tensor.numel() for tensor in network.state_dict().values()) < 8_000_000


def test_it_says_what_it_is():
    network = small()
    assert network.class_names == CLASS_NAMES and network.thing_ids == {2, 3}
    assert network.supervision == "four pictures"


def test_what_is_saved_is_what_is_loaded(tmp_path):
    network, (images, targets) = small(), four_pictures()
    network.losses(images, targets)  # moves the statistics of the batch normalisation
    network.save_pretrained(tmp_path)
    loaded = DensePanoptic.from_pretrained(tmp_path)
    assert loaded.config == SMALL and not loaded.training
    assert torch.equal(
        loaded.predict(images)[0].semantic_probabilities, network.predict(images)[0].semantic_probabilities
    )


def test_images_of_any_size_are_predicted_and_training_goes_on():
    network = small()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    first, second = network.predict(torch.rand(2, 3, 45, 70))
    assert first.semantic_probabilities.shape == (4, 45, 70) and second.panoptic.segment_map.shape == (45, 70)
    assert torch.allclose(first.semantic_probabilities.sum(0), torch.ones(45, 70)) and first.instances.shape == (
        45,
        70,
    )
    assert network.training and not first.semantic_probabilities.requires_grad
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_losses_are_weighted_and_of_any_size():
    network, (images, targets) = small(), four_pictures()
    images = images[..., :45, :70]
    targets = [PanopticTarget(t.semantic[:45, :70], t.masks[:, :45, :70], t.class_ids) for t in targets]
    losses = network.losses(images, targets)
    assert list(losses) == ["class", "centre", "offset"] and all(loss > 0 for loss in losses.values())
    twice = DensePanoptic(DenseConfig(**(vars(SMALL) | {"centre_weight": 400.0})))
    twice.load_state_dict(network.state_dict())
    assert torch.isclose(twice.losses(images, targets)["centre"], 2 * losses["centre"])


def test_a_batch_of_which_nothing_is_known_teaches_nothing():
    network, (images, targets) = small(), four_pictures()
    unknown = [PanopticTarget(torch.full_like(t.semantic, VOID), t.masks, t.class_ids) for t in targets]
    losses = network.losses(images, unknown)
    assert all(loss == 0 for loss in losses.values())
    torch.stack(list(losses.values())).sum().backward()
    assert all(not parameter.grad.any() for parameter in network.parameters())


def test_what_stands_unlabelled_changes_no_centre_and_no_offset():
    """Whether void or of a thing class without a thing: only its class may teach."""
    network, (images, targets) = small().eval(), four_pictures()
    fewer = [PanopticTarget(torch.where(t.masks[0], VOID, t.semantic), t.masks[1:], t.class_ids[1:]) for t in targets]
    without = [PanopticTarget(t.semantic, t.masks[1:], t.class_ids[1:]) for t in targets]
    void, unnamed = network.losses(images, fewer), network.losses(images, without)
    assert torch.equal(void["centre"], unnamed["centre"]) and torch.equal(void["offset"], unnamed["offset"])
    assert void["class"] != unnamed["class"]


def test_sizes_that_differ_are_refused():
    images, targets = four_pictures()
    with pytest.raises(ValueError, match="Expected targets of sizes"):
        small().losses(images[..., :32], targets)


def test_half_precision_gives_nearly_the_same_losses():
    network, (images, targets) = small(), four_pictures()
    whole = network.losses(images, targets)
    with torch.autocast("cpu", torch.bfloat16):
        half = network.losses(images, targets)
    for name in whole:
        assert half[name].dtype == torch.float32 and torch.isclose(half[name], whole[name], rtol=0.1)
