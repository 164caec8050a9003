"""Backbones of a Mask2Former: transformers' own of four stages, and vision transformers with a pyramid on top.

A ViT has maps of one stride only. The pyramid makes four of the last one, by transposed convolutions and pooling, as ViTDet does
(Li et al., ECCV 2022, 3): strides of ¼, ½, 1 and 2 patches. So what self-supervision learned (DINOv2) starts the network.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from torch import Tensor, nn
from transformers import AutoBackbone, AutoConfig, PretrainedConfig, PreTrainedModel

from mbps_dataset.errors import RecipeError, WeightsError


STAGED = ("swin", "resnet")
"""Backbones of transformers with four stages of strides 4 to 32."""
PLAIN = ("dinov2", "dinov2_with_registers")
"""Vision transformers, with one map."""

_NOT_THE_BACKBONES = (
    "transformers_version", "architectures", "dtype", "torch_dtype", "id2label", "label2id", "stage_names", "out_features",
    "out_indices", "model_type", "problem_type", "_name_or_path",
)  # fmt: skip


def backbone_configuration(values: dict[str, Any]) -> PretrainedConfig:
    """transformers' configuration of a backbone, giving out all stages or, of a ViT, the last block's tokens.

    Raises `RecipeError` for another kind and for values that transformers refuses.
    """
    kind = values.get("model_type")
    if kind not in (*STAGED, *PLAIN):
        known = ", ".join((*STAGED, *PLAIN))
        raise RecipeError(f"backbone must have a model_type of {known}, but has {str(kind)[:60]!r}.")
    own = {name: value for name, value in values.items() if name not in _NOT_THE_BACKBONES}
    try:
        config = AutoConfig.for_model(kind, **own)
        outputs = config.stage_names[-4:] if kind in STAGED else config.stage_names[-1:]
        return AutoConfig.for_model(kind, **own, out_features=outputs)
    except Exception as error:  # of a value's type, of its range, of a missing activation: each has its own kind
        raise RecipeError(f"backbone cannot be built: {reason_of(error)}.") from error


def reason_of(error: Exception) -> str:
    """What an error of transformers says, on one line without a full stop."""
    return " ".join(str(error).split())[:300].rstrip(".") or type(error).__name__


def described(config: PretrainedConfig) -> dict[str, Any]:
    """What decides a backbone, as plain values of JSON: the inverse of `backbone_configuration`."""
    values: dict[str, Any] = json.loads(config.to_json_string(use_diff=True))
    own = {name: value for name, value in values.items() if name not in _NOT_THE_BACKBONES}
    return {"model_type": config.model_type, **own}


def stride_of(config: PretrainedConfig) -> int:
    """Pixels of which the sides of images must be multiples: those of a cell of the deepest map."""
    return 2 * int(config.patch_size) if config.model_type in PLAIN else 32


class Maps(NamedTuple):
    """What a Mask2Former asks of a backbone's output."""

    feature_maps: tuple[Tensor, ...]


class ViTPyramid(nn.Module):
    """A vision transformer and four maps made of its last one, as a backbone of transformers gives them out."""

    def __init__(self, config: PretrainedConfig) -> None:
        super().__init__()
        self.transformer = AutoBackbone.from_config(config)
        width = int(config.hidden_size)
        self.channels = [max(width // 4, 1), max(width // 2, 1), width, width]
        quarter, half = self.channels[:2]
        self.quadrupled = nn.Sequential(
            nn.ConvTranspose2d(width, half, 2, 2),
            nn.GroupNorm(1, half),
            nn.GELU(),
            nn.ConvTranspose2d(half, quarter, 2, 2),
        )
        self.doubled = nn.ConvTranspose2d(width, half, 2, 2)
        self.halved = nn.MaxPool2d(2)

    def forward(self, images: Tensor) -> Maps:
        """[B, 3, H, W], sides multiples of two patches → `feature_maps` of strides ¼, ½, 1 and 2 patches."""
        (values,) = self.transformer(images).feature_maps
        return Maps((self.quadrupled(values), self.doubled(values), values, self.halved(values)))


def take_over(backbone: nn.Module, pretrained: PreTrainedModel, *, source: str) -> None:
    """Copy a pretrained network's tensors into the backbone of its kind. Raises `WeightsError` naming one that it lacks.

    Norms that transformers puts behind a backbone's stages are no part of the pretrained network, and stay as they are.
    """
    inner = backbone.transformer if isinstance(backbone, ViTPyramid) else backbone
    prefix = f"{pretrained.base_model_prefix}."  # in which some releases of transformers wrap the network once more
    state = pretrained.state_dict()
    wanted = {name: name.removeprefix(prefix) for name in inner.state_dict() if "hidden_states_norms" not in name}
    shapes = {name: tensor.shape for name, tensor in inner.state_dict().items()}
    absent = [own for name, own in wanted.items() if own not in state or state[own].shape != shapes[name]]
    if absent:
        raise WeightsError(
            f"{source}: as a backbone it lacks {len(absent)} tensors, {absent[0]} among them; give a whole network."
        )
    inner.load_state_dict({name: state[own] for name, own in wanted.items()}, strict=False)
