from __future__ import annotations

import json

import pytest
import torch
from transformers import (
    DepthAnythingConfig,
    DepthAnythingForDepthEstimation,
    Dinov2Config,
    GLPNConfig,
    GLPNForDepthEstimation,
)

from mbps_dataset.errors import WeightsError
from mbps_dataset.models.depth_estimation import (
    FAR,
    DepthEstimator,
    depth_of_field_of_view,
    depth_of_relative_inverse,
)


MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def save(network, folder, **preprocessing):
    torch.manual_seed(0)
    network.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessing))
    return folder


def depth_anything(kind="relative"):
    backbone = Dinov2Config(
        hidden_size=12, num_hidden_layers=4, num_attention_heads=2, image_size=28, out_indices=[1, 2, 3, 4],
        apply_layernorm=True, reshape_hidden_states=False,
    )  # fmt: skip
    sizes = {"reassemble_hidden_size": 12, "neck_hidden_sizes": [4, 4, 4, 4], "fusion_hidden_size": 4}
    config = DepthAnythingConfig(
        backbone_config=backbone, depth_estimation_type=kind, head_hidden_size=4, max_depth=80, **sizes
    )
    return DepthAnythingForDepthEstimation(config).eval()


@pytest.fixture(scope="module")
def relative(tmp_path_factory):
    return save(
        depth_anything(),
        tmp_path_factory.mktemp("relative"),
        image_mean=MEAN,
        image_std=STD,
        do_normalize=True,
        ensure_multiple_of=14,
        size={"height": 518, "width": 518},
    )


@torch.no_grad()
def test_a_relative_network_is_standardised_inverted_and_marked_as_supervised(relative):
    estimator = DepthEstimator.from_pretrained(relative)
    image = torch.rand(2, 3, 28, 42, generator=torch.Generator().manual_seed(1))
    standardised = (image - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    answer = estimator.network(pixel_values=standardised).predicted_depth
    depth = estimator(image)
    assert depth.shape == (2, 1, 28, 42)
    torch.testing.assert_close(depth[:, 0], depth_of_relative_inverse(answer))
    assert estimator.supervision.startswith("supervised")
    assert (estimator.input_hw, estimator.multiple_of) == ((518, 518), 14)


@torch.no_grad()
def test_a_metric_network_answers_depth_itself(tmp_path):
    folder = save(depth_anything("metric"), tmp_path, image_mean=MEAN, image_std=STD)
    estimator = DepthEstimator.from_pretrained(folder)
    image = torch.full((1, 3, 28, 28), 0.5)
    expected = estimator.network(pixel_values=(image - estimator.mean) / estimator.std).predicted_depth
    torch.testing.assert_close(estimator(image)[:, 0], expected)
    assert estimator.answers == "depth"


@torch.no_grad()
def test_a_network_without_standardisation_sees_the_image_as_it_is(tmp_path):
    network = GLPNForDepthEstimation(
        GLPNConfig(hidden_sizes=[4, 4, 8, 8], depths=[1] * 4, decoder_hidden_size=4, num_attention_heads=[1] * 4)
    ).eval()
    estimator = DepthEstimator.from_pretrained(save(network, tmp_path, size_divisor=32, do_rescale=True))
    image = torch.rand(1, 3, 64, 32)
    torch.testing.assert_close(estimator(image)[:, 0], estimator.network(pixel_values=image).predicted_depth)
    assert estimator.multiple_of == 32 and estimator.input_hw is None


def test_relative_inverse_depth_becomes_depth_between_one_and_a_hundred():
    answer = torch.tensor([[[4.0, 2.0, 0.0]], [[0.0, 0.0, 0.0]]])
    torch.testing.assert_close(depth_of_relative_inverse(answer)[0], torch.tensor([[1.0, 2.0, 1 / FAR]]))
    assert torch.isfinite(depth_of_relative_inverse(answer)).all()


def test_inverse_depth_is_scaled_by_the_field_of_view():
    answer = torch.tensor([[[0.5]], [[0.5]]])
    metres = depth_of_field_of_view(answer, torch.tensor([90.0, 60.0]))
    torch.testing.assert_close(metres[:, 0, 0], torch.tensor([1.0, 3.0**0.5]))
    torch.testing.assert_close(depth_of_field_of_view(answer, None), torch.full((2, 1, 1), 2.0))
    assert depth_of_field_of_view(torch.zeros(1, 1, 1), None).item() == pytest.approx(1e4)


def test_what_is_stated_goes_before_what_is_known(relative):
    estimator = DepthEstimator.from_pretrained(relative, answers="depth", supervision="self-supervised by us")
    assert (estimator.answers, estimator.supervision) == ("depth", "self-supervised by us")


def test_sides_that_do_not_fit_are_refused(relative):
    with pytest.raises(ValueError, match=r"sides a multiple of 14, but got \(1, 3, 28, 30\)"):
        DepthEstimator.from_pretrained(relative)(torch.zeros(1, 3, 28, 30))


def test_an_unknown_answer_is_refused(relative):
    with pytest.raises(ValueError, match="answers must be one of depth, .* but is 'disparity'"):
        DepthEstimator.from_pretrained(relative, answers="disparity")


def test_a_folder_without_preprocessing_is_refused(tmp_path):
    depth_anything().save_pretrained(tmp_path)
    with pytest.raises(WeightsError, match="holds no preprocessor_config.json"):
        DepthEstimator.from_pretrained(tmp_path)


def test_a_network_that_answers_something_else_than_depth_is_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "dinov2"}')
    with pytest.raises(WeightsError, match="cannot be loaded as a depth-estimation network"):
        DepthEstimator.from_pretrained(tmp_path)


def test_a_kind_that_is_not_known_must_say_what_it_answers(relative, monkeypatch):
    monkeypatch.delitem(DepthEstimator.from_pretrained.__globals__["KNOWN"], "depth_anything")
    with pytest.raises(WeightsError, match="depth_anything network, and what it answers is not known here"):
        DepthEstimator.from_pretrained(relative)
    assert DepthEstimator.from_pretrained(relative, answers="depth").supervision.startswith("unknown")
