"""DINO backbone (Caron et al., ICCV 2021) as STEGO and DepthG use it: the patch tokens of the last block.

The network is `transformers.ViTModel` without a pooler. Decisions, those of DINO's published code:

* the position table is resized as `mbps_dataset.models.dinov2.resized_positions` says, where transformers resizes to the size;
* tokens are those after the final LayerNorm, all norms have epsilon 1e-6;
* an image whose side is no multiple of the patch loses what is left over at the right and at the bottom.

`reference_state` and `load_reference_state` speak the names of DINO's files, which are timm's; 64 channels per head.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn
from transformers import ViTConfig, ViTModel
from transformers.models.vit.modeling_vit import ViTEmbeddings

from mbps_dataset.models.checkpoints import StateDict, joined_tensors, require_match, split_tensors, to_float32
from mbps_dataset.models.dinov2 import PLAIN_NAMES, describe_backbone, resized_positions
from mbps_dataset.models.transformers_loading import load_complete


# Blocks as named by transformers 5, and before; the four of attention are query, key, value and projection.
_BLOCK_NAMES = {
    "layers": (
        ("attention.q_proj", "attention.k_proj", "attention.v_proj", "attention.o_proj"),
        {"norm1": "layernorm_before", "norm2": "layernorm_after", "mlp.fc1": "mlp.fc1", "mlp.fc2": "mlp.fc2"},
    ),
    "encoder.layer": (
        (
            "attention.attention.query",
            "attention.attention.key",
            "attention.attention.value",
            "attention.output.dense",
        ),
        {
            "norm1": "layernorm_before",
            "norm2": "layernorm_after",
            "mlp.fc1": "intermediate.dense",
            "mlp.fc2": "output.dense",
        },
    ),
}


class DinoBackbone(nn.Module):
    """Images to patch tokens: a `ViTModel` with the position table resized as DINO's code does.

    `hidden_size` D channels, `layers` blocks of `heads` heads, `mlp_ratio` hidden channels of the MLP over D, `patch_size`
    pixels, `position_grid` N: side of the native token grid (28 for the published networks of patch 8).
    """

    def __init__(
        self,
        *,
        hidden_size: int = 768,
        layers: int = 12,
        heads: int = 12,
        mlp_ratio: int = 4,
        patch_size: int = 8,
        position_grid: int = 28,
    ) -> None:
        super().__init__()
        config = ViTConfig(
            hidden_size=hidden_size,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            intermediate_size=mlp_ratio * hidden_size,
            patch_size=patch_size,
            image_size=patch_size * position_grid,
            layer_norm_eps=1e-6,
        )
        self.patch_size = patch_size
        self.model = ViTModel(config, add_pooling_layer=False)
        embeddings = _DinoEmbeddings(config)
        embeddings.load_state_dict(self.model.embeddings.state_dict())
        self.model.embeddings = embeddings

    def grid_hw(self, pixels: torch.Tensor) -> tuple[int, int]:
        """Rows and columns of patches in an image [..., H, W]. Raises `ValueError` if there are none."""
        height, width = (side // self.patch_size for side in pixels.shape[-2:])
        if not height or not width:
            raise ValueError(
                f"Expected the sides of `pixels` to be at least {self.patch_size}, but got {tuple(pixels.shape)}."
            )
        return height, width

    def tokens(self, pixels: torch.Tensor) -> torch.Tensor:
        """Tokens after the final LayerNorm, the CLS token first: pixels [B, 3, H, W] (normalised) → [B, 1 + h w, D]."""
        self.grid_hw(pixels)
        return self.model(pixels, interpolate_pos_encoding=True).last_hidden_state

    def reference_state(self) -> StateDict:
        """This network's tensors under the names of DINO's files."""
        return _reference_state(self.model.state_dict())

    def load_reference_state(self, state: Mapping[str, torch.Tensor], *, source: str = "DINO state dict") -> None:
        """Take over tensors named as in DINO's files.

        Raises `WeightsError` listing every missing, unexpected or wrongly shaped tensor, and what would fit.
        """
        expected = {name: tuple(tensor.shape) for name, tensor in self.reference_state().items()}
        require_match(state, expected, source=source, network="the backbone", fits=describe_backbone(state))
        names = _reference_names(self.model.state_dict())
        self.model.load_state_dict(to_float32(split_tensors(state, names)))


def dino_of_transformers(folder_or_hub_id: str | Path) -> StateDict:
    """The tensors of a `ViTModel` such as ``facebook/dino-vitb8`` under the names of DINO's files. Raises `WeightsError`."""
    network = load_complete(ViTModel, folder_or_hub_id, expected="a DINO ViT of transformers", add_pooling_layer=False)
    return _reference_state(network.state_dict())


class _DinoEmbeddings(ViTEmbeddings):
    """`ViTEmbeddings` whose position table is resized as in DINO's code."""

    def interpolate_pos_encoding(self, embeddings: torch.Tensor, height: int, width: int) -> torch.Tensor:
        patch = self.patch_size if isinstance(self.patch_size, int) else self.patch_size[0]
        return resized_positions(self.position_embeddings, (height // patch, width // patch))


def _reference_state(own: Mapping[str, torch.Tensor]) -> StateDict:
    return joined_tensors(own, _reference_names(own))


def _reference_names(own: Mapping[str, torch.Tensor]) -> dict[str, tuple[str, ...]]:
    """Published name → names in the `ViTModel` at hand, three where query, key and value are apart."""
    names: dict[str, tuple[str, ...]] = {reference: (name,) for reference, name in PLAIN_NAMES.items()}
    place = next(prefix for prefix in _BLOCK_NAMES if any(name.startswith(f"{prefix}.0.") for name in own))
    attention, others = _BLOCK_NAMES[place]
    layers = sum(name.startswith(f"{place}.") and name.endswith("layernorm_before.weight") for name in own)
    for block in range(layers):
        for end in (".weight", ".bias"):
            query, key, value, projection = (f"{place}.{block}.{name}{end}" for name in attention)
            names[f"blocks.{block}.attn.qkv{end}"] = (query, key, value)
            names[f"blocks.{block}.attn.proj{end}"] = (projection,)
            for reference, name in others.items():
                names[f"blocks.{block}.{reference}{end}"] = (f"{place}.{block}.{name}{end}",)
    return names
