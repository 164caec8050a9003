"""DINOv2 backbone (Oquab et al., 2023) as CAUSE uses it: the tokens of the last block, without the class token.

The network is `transformers.Dinov2Model`. Decisions made here:

* **Position table.** Below its native size the table is resized. The reference code resizes bicubically *by the
  factor* (n + 0.1) / N per axis, n the tokens wanted and N those of the table, so that token i reads the table at
  (i + 0.5) · N / (n + 0.1) − 0.5; ``transformers`` resizes *to the size* n, reading at (i + 0.5) · N / n − 0.5.
  Published CAUSE heads were trained on the first, which is the default here; the second is the option "huggingface".
  At the native size both leave the table alone.
* **Names.** `reference_state` and `load_reference_state` speak the names of the published DINOv2 files, in which
  query, key and value are one tensor. They do not change between releases of ``transformers``, whose own names do.
* Heads are not visible in the shapes of a checkpoint; every published DINOv2 has 64 channels per head.
* With registers (Darcet et al., ICLR 2024) the network is `transformers.Dinov2WithRegistersModel`, whose table is resized
  with antialiasing, as its published code does; "reference" then means that.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers import (
    AutoModel,
    Dinov2Config,
    Dinov2Model,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
    PreTrainedModel,
)
from transformers.models.dinov2.modeling_dinov2 import Dinov2Embeddings

from mbps_dataset.errors import WeightsError
from mbps_dataset.models.checkpoints import StateDict, joined_tensors, require_match, split_tensors, to_float32
from mbps_dataset.models.transformers_loading import load_complete


INTERPOLATIONS = ("reference", "huggingface")
"""Ways of resizing the position table."""

LABEL_FREE = "facebook/dinov2-"
"""Hub ids that begin so were trained without labels (DINOv2, also with registers)."""

BACKBONE_SIZES = ("hidden_size", "layers", "heads", "mlp_ratio", "patch_size", "position_grid")
"""Sizes of a DINO or DINOv2 backbone: arguments of both, and fields of the configurations of networks around them."""

PLAIN_NAMES = {
    "cls_token": "embeddings.cls_token",
    "pos_embed": "embeddings.position_embeddings",
    "patch_embed.proj.weight": "embeddings.patch_embeddings.projection.weight",
    "patch_embed.proj.bias": "embeddings.patch_embeddings.projection.bias",
    "norm.weight": "layernorm.weight",
    "norm.bias": "layernorm.bias",
}
"""Published names of what is outside the blocks, of DINO and DINOv2 alike, and those of transformers."""

_BLOCK_NAMES = {
    "norm1": "norm1",
    "norm2": "norm2",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
    "ls1.gamma": "layer_scale1.lambda1",
    "ls2.gamma": "layer_scale2.lambda1",
}
# Attention as named by transformers 5, and before.
_ATTENTION_NAMES = (
    ("attention.q_proj", "attention.k_proj", "attention.v_proj", "attention.o_proj"),
    ("attention.attention.query", "attention.attention.key", "attention.attention.value", "attention.output.dense"),
)


class Dinov2Backbone(nn.Module):
    """Images to patch tokens: a `Dinov2Model` with the position table resized as the reference code does.

    `hidden_size` D channels, `layers` blocks of `heads` heads, `mlp_ratio` hidden channels of the MLP over D,
    `patch_size` pixels, `position_grid` N: side of the native token grid (37 for the published networks),
    `interpolation` "reference" or "huggingface" (see the module's text), `registers` tokens beside the class token.
    """

    def __init__(
        self,
        *,
        hidden_size: int = 768,
        layers: int = 12,
        heads: int = 12,
        mlp_ratio: int = 4,
        patch_size: int = 14,
        position_grid: int = 37,
        interpolation: str = "reference",
        registers: int = 0,
    ) -> None:
        super().__init__()
        if interpolation not in INTERPOLATIONS:
            raise ValueError(f"Expected `interpolation` to be one of {INTERPOLATIONS}, but got {interpolation!r}.")
        if hidden_size % heads:
            raise ValueError(f"Expected `hidden_size` ({hidden_size}) to be a multiple of `heads` ({heads}).")
        sizes: dict[str, Any] = {
            "hidden_size": hidden_size,
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "mlp_ratio": mlp_ratio,
            "patch_size": patch_size,
            "image_size": patch_size * position_grid,
        }
        self.patch_size, self.registers = patch_size, registers
        self.model: Dinov2Model | Dinov2WithRegistersModel
        if registers:
            self.model = Dinov2WithRegistersModel(Dinov2WithRegistersConfig(**sizes, num_register_tokens=registers))
            return
        self.model = plain = Dinov2Model(config := Dinov2Config(**sizes))
        if interpolation == "reference":
            embeddings = _ReferenceEmbeddings(config)
            embeddings.load_state_dict(plain.embeddings.state_dict())
            plain.embeddings = embeddings

    def features(self, pixels: torch.Tensor) -> torch.Tensor:
        """Patch tokens after the final LayerNorm: pixels [B, 3, H, W] (normalised) -> [B, P, D], P row by row.

        H and W must be multiples of the patch size; P = (H / patch) (W / patch).
        """
        height, width = pixels.shape[-2:]
        if height % self.patch_size or width % self.patch_size:
            raise ValueError(
                f"Expected the sides of `pixels` to be multiples of {self.patch_size}, but got {(height, width)}; "
                "crop or resize the image first."
            )
        return self.model(pixels).last_hidden_state[:, 1 + self.registers :]

    def position_table(self, grid_hw: tuple[int, int]) -> torch.Tensor:
        """The position table as it is added to a token grid of `grid_hw`: [1, 1 + h w, D], class token first."""
        table = self.model.embeddings.position_embeddings
        height, width = grid_hw
        tokens = table.new_empty(1, height * width + 1, table.shape[-1])
        return self.model.embeddings.interpolate_pos_encoding(
            tokens, height * self.patch_size, width * self.patch_size
        )

    def reference_state(self) -> StateDict:
        """This network's tensors under the names of the published DINOv2 files."""
        return _reference_state(self.model.state_dict())

    def load_reference_state(
        self, state: Mapping[str, torch.Tensor], *, source: str = "DINOv2 state dict", fits: str | None = None
    ) -> None:
        """Take over tensors named as in the published DINOv2 files.

        Raises `WeightsError` listing every missing, unexpected or wrongly shaped tensor and what would fit: `fits`, or
        the configuration read from the shapes.
        """
        expected = {name: tuple(tensor.shape) for name, tensor in self.reference_state().items()}
        if fits is None:
            fits = describe_backbone(state)
        require_match(state, expected, source=source, network="the backbone", fits=fits)
        names = _reference_names(self.model.state_dict())
        self.model.load_state_dict(to_float32(split_tensors(state, names)))


def backbone_configuration_of(state: Mapping[str, torch.Tensor]) -> dict[str, Any] | None:
    """Constructor arguments of `Dinov2Backbone` that fit a published state dict; None if its shapes do not tell."""
    try:
        hidden, _, patch, _ = state["patch_embed.proj.weight"].shape
        positions = state["pos_embed"].shape[1] - 1
        inner = state["blocks.0.mlp.fc1.weight"].shape[0]
    except (KeyError, ValueError, IndexError):
        return None
    blocks = [int(match.group(1)) for name in state if (match := re.match(r"blocks\.(\d+)\.", name))]
    sizes = {
        "hidden_size": hidden,
        "layers": max(blocks) + 1,
        "heads": max(1, hidden // 64),
        "mlp_ratio": inner // hidden,
        "patch_size": patch,
        "position_grid": math.isqrt(positions),
    }
    registers = state.get("register_tokens")
    return sizes if registers is None or registers.ndim != 3 else {**sizes, "registers": registers.shape[1]}


def dinov2_of_transformers(folder_or_hub_id: str | Path) -> tuple[StateDict, dict[str, Any]]:
    """A `Dinov2Model`, with or without registers, as published tensors and the constructor arguments that fit them.

    Raises `WeightsError` if it is another network, cannot be read or lacks a tensor.
    """
    network: PreTrainedModel = load_complete(AutoModel, folder_or_hub_id, expected="a DINOv2 network of transformers")
    if not isinstance(network, (Dinov2Model, Dinov2WithRegistersModel)):
        raise WeightsError(
            f"{folder_or_hub_id} is a {type(network).__name__}, not a DINOv2 network; give a folder or Hub id such as "
            "facebook/dinov2-small."
        )
    if getattr(network.config, "use_swiglu_ffn", False):
        raise WeightsError(
            f"{folder_or_hub_id} has a SwiGLU MLP (DINOv2 giant), which is not supported; take a smaller one."
        )
    state = _reference_state(network.state_dict())
    sizes = backbone_configuration_of(state)
    assert sizes is not None
    return state, {**sizes, "heads": network.config.num_attention_heads}


def sizes_of(configuration: object) -> dict[str, Any]:
    """The `BACKBONE_SIZES` of the configuration of a network around a backbone, by name."""
    return {name: getattr(configuration, name) for name in BACKBONE_SIZES}


def describe_backbone(state: Mapping[str, torch.Tensor]) -> str:
    """The configuration that fits a published state dict, in words; empty if its shapes do not tell."""
    found = backbone_configuration_of(state)
    return ", ".join(f"{name}={value}" for name, value in found.items()) if found else ""


def resized_positions(table: torch.Tensor, grid_hw: tuple[int, int]) -> torch.Tensor:
    """A position table [1, 1 + N N, D], class token first, for a grid of tokens [h, w], as DINO's and DINOv2's code resizes it.

    By a factor with 0.1 added (see the module's text); left alone at its own size. Raises `ValueError` for a grid that this
    does not give.
    """
    side, (rows, columns) = math.isqrt(table.shape[1] - 1), grid_hw
    if rows == columns == side:
        return table
    native = table[:, 1:].reshape(1, side, side, -1).permute(0, 3, 1, 2)
    resized = functional.interpolate(
        native.float(),
        scale_factor=((rows + 0.1) / side, (columns + 0.1) / side),
        mode="bicubic",
        align_corners=False,
        antialias=False,
    )
    if resized.shape[-2:] != (rows, columns):
        raise ValueError(f"A position table of side {side} cannot be resized to {(rows, columns)} tokens.")
    resized = resized.to(table.dtype).permute(0, 2, 3, 1).flatten(1, 2)
    return torch.cat((table[:, :1], resized), dim=1)


class _ReferenceEmbeddings(Dinov2Embeddings):
    """`Dinov2Embeddings` whose position table is resized by a factor with 0.1 added, as in the published code."""

    def interpolate_pos_encoding(self, embeddings: torch.Tensor, height: int, width: int) -> torch.Tensor:
        return resized_positions(self.position_embeddings, (height // self._patch, width // self._patch))

    @property
    def _patch(self) -> int:
        size = self.patch_size
        return int(size if isinstance(size, int) else size[0])


def _reference_state(own: Mapping[str, torch.Tensor]) -> StateDict:
    """Tensors of a network of transformers under the published names."""
    return joined_tensors(own, _reference_names(own))


def _reference_names(own: Mapping[str, torch.Tensor]) -> dict[str, tuple[str, ...]]:
    """Published name -> names in the `Dinov2Model` at hand, several where query, key and value are apart."""
    names: dict[str, tuple[str, ...]] = {reference: (name,) for reference, name in PLAIN_NAMES.items()}
    names["mask_token"] = ("embeddings.mask_token",)
    if "embeddings.register_tokens" in own:
        names["register_tokens"] = ("embeddings.register_tokens",)
    attention = next(group for group in _ATTENTION_NAMES if f"encoder.layer.0.{group[0]}.weight" in own)
    layers = sum(name.endswith("layer_scale1.lambda1") for name in own)
    for block in range(layers):
        for reference, name in _BLOCK_NAMES.items():
            for end in ("",) if reference.startswith("ls") else (".weight", ".bias"):
                names[f"blocks.{block}.{reference}{end}"] = (f"encoder.layer.{block}.{name}{end}",)
        for end in (".weight", ".bias"):
            own_names = tuple(f"encoder.layer.{block}.{name}{end}" for name in attention)
            names[f"blocks.{block}.attn.qkv{end}"] = own_names[:3]
            names[f"blocks.{block}.attn.proj{end}"] = own_names[3:]
    return names
