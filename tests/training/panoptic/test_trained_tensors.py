from __future__ import annotations

import json

import pytest

from mbps_dataset.training.panoptic.trained_tensors import (
    body_stays,
    decays,
    is_body,
    names_that_stay,
    trains_in_self_training,
)
from tests.vectors import BESIDE_THE_CHECKOUT


MANIFEST = BESIDE_THE_CHECKOUT.parent / "manifests" / "cups_trainable.json"
DENSE = [
    "encoder.stages.0.0.first.0.weight",
    "decoder.joins.0.fuse.0.weight",
    "class_head.weight",
    "class_branch.fuse.0.weight",
]
MASK2FORMER = [
    "network.model.pixel_level_module.encoder.stem.weight",
    "network.model.pixel_level_module.decoder.mask_projection.weight",
    "network.model.transformer_module.decoder.layers.0.fc1.weight",
    "network.class_predictor.weight",
]


@pytest.fixture(scope="module")
def manifest():
    if not MANIFEST.exists():
        pytest.skip(f"{MANIFEST} is not here")
    return json.loads(MANIFEST.read_text())


def test_the_rules_choose_the_published_tensors_of_the_manifest_beside_the_vectors(manifest):
    stage3 = manifest["stage3"]
    names = [*stage3["trained"], *stage3["not_trained"]]
    assert {name for name in names if trains_in_self_training(name)} == set(stage3["trained"])
    assert names_that_stay(names) == tuple(sorted(stage3["not_trained"])) and stage3["n_trained"] == 51
    stage2 = manifest["stage2"]
    assert not any(map(decays, stage2["no_decay"])) and all(map(decays, stage2["decay"]))
    assert (len(stage2["no_decay"]), len(stage2["decay"])) == (136, 112)
    assert body_stays(names) == tuple(sorted(name for name in names if name.startswith("backbone.")))


@pytest.mark.parametrize(
    ("name", "trains", "decayed"),
    [
        ("roi_heads.mask_head.deconv.bias", True, True),
        ("proposal_generator.rpn_head.conv.weight", True, True),
        ("sem_seg_head.p4.2.weight", True, True),
        ("sem_seg_head.p4.2.norm.weight", False, False),
        ("backbone.fpn_output2.weight", False, True),
        ("backbone.bottom_up.res2.0.conv1.norm.bias", False, False),
    ],
)
def test_heads_train_their_norms_do_not(name: str, trains: bool, decayed: bool) -> None:
    assert trains_in_self_training(name) == trains and decays(name) == decayed


def test_the_body_of_each_network_stays_and_its_heads_do_not() -> None:
    assert body_stays(DENSE) == tuple(sorted(DENSE[:2]))
    assert body_stays(MASK2FORMER) == tuple(sorted(MASK2FORMER[:2]))
    assert not is_body("sem_seg_head.p2.0.weight") and is_body("backbone.fpn_lateral2.weight")


def test_nothing_to_train_or_to_keep_is_said() -> None:
    with pytest.raises(ValueError, match="No tensor would train"):
        names_that_stay(["backbone.stem.weight"])
    with pytest.raises(ValueError, match="No backbone is known among 1 names"):
        body_stays(["layers.0.weight"])
    with pytest.raises(ValueError, match="No tensor would train"):
        body_stays(["backbone.stem.weight"])
