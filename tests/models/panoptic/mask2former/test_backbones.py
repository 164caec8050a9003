from __future__ import annotations

import json

import pytest
import torch
from transformers import AutoBackbone, AutoModel, Dinov2Config, Dinov2Model

from mbps_dataset.errors import RecipeError, WeightsError
from mbps_dataset.models.panoptic.mask2former.backbones import (
    ViTPyramid,
    backbone_configuration,
    described,
    stride_of,
    take_over,
)
from tests.models.panoptic.mask2former.backbones_for_tests import DINOV2, RESNET, SWIN


@pytest.mark.parametrize("values", [RESNET, SWIN, DINOV2])
def test_a_configuration_is_described_as_it_was_given(values):
    config = backbone_configuration(values)
    again = described(config)
    assert json.loads(json.dumps(again)).items() >= {k: v for k, v in values.items() if k != "drop_path_rate"}.items()
    assert backbone_configuration(again).to_dict() == config.to_dict()
    assert len(config.out_features) == (1 if values is DINOV2 else 4)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, r"backbone must have a model_type of swin, resnet, dinov2, dinov2_with_registers, but has 'None'"),
        ({"model_type": "bert"}, "but has 'bert'"),
        ({"model_type": "resnet", "layer_type": "round"}, "backbone cannot be built: .*round"),
    ],
)
def test_what_is_no_backbone_is_refused(values, message):
    with pytest.raises(RecipeError, match=message):
        backbone_configuration(values)


def test_the_pyramid_has_four_strides():
    config = backbone_configuration(DINOV2)
    assert stride_of(config) == 28 and stride_of(backbone_configuration(SWIN)) == 32
    pyramid = ViTPyramid(config)
    maps = pyramid(torch.rand(1, 3, 56, 84)).feature_maps
    assert [tuple(each.shape[1:]) for each in maps] == [(12, 16, 24), (24, 8, 12), (48, 4, 6), (48, 2, 3)]
    assert pyramid.channels == [12, 24, 48, 48]


@pytest.mark.parametrize("values", [RESNET, SWIN, DINOV2])
def test_a_pretrained_network_gives_its_tensors(values):
    config = backbone_configuration(values)
    pretrained = AutoModel.from_config(config)
    backbone = ViTPyramid(config) if values is DINOV2 else AutoBackbone.from_config(config)
    take_over(backbone, pretrained, source="here")
    inner = (backbone.transformer if values is DINOV2 else backbone).state_dict()
    inner = {name.removeprefix(f"{pretrained.base_model_prefix}."): tensor for name, tensor in inner.items()}
    given = pretrained.state_dict()
    shared = [name for name in inner if name in given]
    assert len(shared) > 20 and all(torch.equal(inner[name], given[name]) for name in shared)
    assert all("hidden_states_norms" in name for name in set(inner) - set(shared))


def test_a_pretrained_network_that_lacks_something_is_refused():
    config = backbone_configuration(DINOV2)
    shallow = Dinov2Model(
        Dinov2Config(**{k: v for k, v in DINOV2.items() if k != "model_type"} | {"num_hidden_layers": 1})
    )
    with pytest.raises(WeightsError, match=r"here: as a backbone it lacks \d+ tensors, encoder.layer.1"):
        take_over(ViTPyramid(config), shallow, source="here")
