"""Networks to train are made of a kind, or from weights that there are."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
import torch

from mbps_dataset.errors import WeightsError
from mbps_dataset.models.panoptic.dense import DensePanoptic
from mbps_dataset.models.panoptic.record import NO_RECORD
from mbps_dataset.models.panoptic.starting import (
    KINDS,
    changed_panoptic,
    configuration_of,
    continued_panoptic,
    fresh_panoptic,
)
from tests.models.cascade.tiny_network import TINY, tiny_network


NAMES, THINGS = ("road", "car", "sky"), (1,)


def test_a_random_start_comes_from_the_seed() -> None:
    made = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        made.append(fresh_panoptic("dense", NAMES, THINGS, "labels of a set"))
    assert isinstance(made[0], DensePanoptic) and made[0].class_names == NAMES and made[0].thing_ids == {1}
    assert made[0].supervision == "labels of a set"
    weights = [network.class_head.weight for network in made]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


def test_weights_go_on_with_what_they_will_have_seen(tmp_path) -> None:
    fresh_panoptic("dense", NAMES, THINGS, "before").save_pretrained(tmp_path)
    network = continued_panoptic(str(tmp_path), "before, and now more")
    assert network.supervision == "before, and now more"
    network.save_pretrained(tmp_path / "more")
    again = continued_panoptic(str(tmp_path / "more"), "x")
    assert all(
        torch.equal(a, b) for a, b in zip(network.state_dict().values(), again.state_dict().values(), strict=True)
    )


def test_every_kind_has_a_configuration() -> None:
    for kind in KINDS:
        declared = {field.name: field.default for field in fields(configuration_of(kind))}
        assert declared["network"] == kind and {"class_names", "thing_ids", "supervision"} <= set(declared)


def test_a_cascade_begins_at_random_with_its_settings() -> None:
    sizes = {"stem_channels": 8, "bottleneck_channels": 8, "stage_blocks": (1, 1, 1, 1), "pyramid_channels": 8, "box_channels": 8,
             "mask_channels": 8, "semantic_channels": 32, "drop_loss": "all-boxes"}  # fmt: skip
    network = fresh_panoptic("cascade", NAMES, THINGS, "x", settings=sizes)
    assert network.config.drop_loss == "all-boxes" and network.class_names == NAMES


def test_other_classes_keep_only_what_is_asked_for(tmp_path) -> None:
    fresh_panoptic("dense", NAMES, THINGS, "before").save_pretrained(tmp_path)
    before = continued_panoptic(str(tmp_path), "x").state_dict()
    other = continued_panoptic(
        str(tmp_path),
        "x",
        classes=(("a", "b"), (0,)),
        kept=lambda name: name.startswith("encoder"),
        settings={"reach": 3.0},
    )
    assert other.class_names == ("a", "b") and other.thing_ids == {0} and other.config.reach == 3.0
    same = {
        name
        for name, tensor in other.state_dict().items()
        if tensor.shape == before[name].shape and tensor.equal(before[name])
    }
    assert {name for name in before if name.startswith("encoder")} <= same and "class_branch.reduce.weight" not in same


def test_thresholds_change_and_sizes_do_not() -> None:
    network = fresh_panoptic("dense", NAMES, THINGS, "x")
    changed = changed_panoptic(network, {"score_threshold": 0.7})
    assert changed.config.score_threshold == 0.7 and changed.supervision == "x" and not changed.training
    assert all(a.equal(b) for a, b in zip(network.state_dict().values(), changed.state_dict().values(), strict=True))
    with pytest.raises(
        WeightsError, match=r"The weights do not fit these settings \(decoder_width\): .*size mismatch"
    ):
        changed_panoptic(network, {"decoder_width": 8})


def test_what_cannot_be_started() -> None:
    with pytest.raises(WeightsError, match="no panoptic network 'yolo'; networks are dense, mask2former, cascade"):
        fresh_panoptic("yolo", NAMES, THINGS, "")
    with pytest.raises(
        WeightsError, match="dense network takes no backbone; give --network mask2former or cascade to start from x/y"
    ):
        fresh_panoptic("dense", NAMES, THINGS, "", backbone="x/y")


def test_what_was_said_of_published_weights_is_not_said_of_those_trained_further(tmp_path) -> None:
    """Their record says what they learned from; without it nobody knows."""
    published = replace(TINY, label_free=True)
    tiny_network(published).save_pretrained(tmp_path)
    assert continued_panoptic(str(tmp_path), "x").ground_truth_used == (NO_RECORD,)
