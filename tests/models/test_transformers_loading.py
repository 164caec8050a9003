from __future__ import annotations

import pytest
from transformers import Dinov2Config, Dinov2Model
from transformers.utils import logging as transformers_logging

from mbps_dataset.errors import WeightsError
from mbps_dataset.models.transformers_loading import load_complete, without_progress_bars


@pytest.fixture
def network():
    return Dinov2Model(Dinov2Config(hidden_size=24, num_hidden_layers=1, num_attention_heads=2, image_size=28))


def test_a_complete_network_is_loaded_in_evaluation_mode(network, tmp_path):
    network.save_pretrained(tmp_path)
    assert not load_complete(Dinov2Model, tmp_path, expected="a DINOv2").training


def test_a_missing_tensor_is_named(network, tmp_path):
    weights = network.state_dict()
    del weights["layernorm.weight"]
    network.save_pretrained(tmp_path, state_dict=weights)
    with pytest.raises(WeightsError, match="not complete as a DINOv2: 1 tensors .* layernorm.weight among them"):
        load_complete(Dinov2Model, tmp_path, expected="a DINOv2")


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(WeightsError, match="cannot be loaded as a DINOv2"):
        load_complete(Dinov2Model, tmp_path, expected="a DINOv2")


@pytest.mark.parametrize("drawn", [True, False])
def test_the_progress_bar_setting_is_given_back(drawn):
    before = transformers_logging.is_progress_bar_enabled()
    try:
        (transformers_logging.enable_progress_bar if drawn else transformers_logging.disable_progress_bar)()
        with without_progress_bars():
            assert not transformers_logging.is_progress_bar_enabled()
        assert transformers_logging.is_progress_bar_enabled() == drawn
    finally:
        (transformers_logging.enable_progress_bar if before else transformers_logging.disable_progress_bar)()
