"""Networks to train are made of a kind, or from weights that there are."""

from __future__ import annotations

import pytest
import torch

from mbps_dataset.errors import WeightsError
from mbps_dataset.models.panoptic.dense import DensePanoptic
from mbps_dataset.models.panoptic.starting import continued_panoptic, fresh_panoptic


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


def test_what_cannot_be_started() -> None:
    with pytest.raises(WeightsError, match="no panoptic network 'yolo'; networks are dense, mask2former"):
        fresh_panoptic("yolo", NAMES, THINGS, "")
    with pytest.raises(
        WeightsError, match="dense network takes no backbone; give --network mask2former to start from x/y"
    ):
        fresh_panoptic("dense", NAMES, THINGS, "", backbone="x/y")
