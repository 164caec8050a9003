"""Where the class token of a DINOv3 ViT looks: its attention to the patches in the last layer (report 2.4).

The network is transformers' `DINOv3ViTModel`; this file decides only what is read out of its last layer. Three answers
are kept apart, because the published code does not compute the network's own attention:

* "reference": queries and keys *before* rotary position encoding, softmax over the patches alone (the class token and
  the registers left out), mean over heads. This is what the published code does. DINOv3 rotates the keys of patches,
  so it is not what the network attends to (correlation 0.58 in a small random network);
* "true": the network's own keys, rotated, softmax over the patches alone;
* "full": the network's own attention weights, softmax over all tokens; sums to less than one over the patches.

Layers are found under the module names of transformers 4.56 (`layer`) and of 5 (`model.layer`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DINOv3ViTConfig, DINOv3ViTModel
from transformers.models.dinov3_vit.modeling_dinov3_vit import DINOv3ViTLayer, apply_rotary_pos_emb

from mbps_dataset.errors import WeightsError
from mbps_dataset.models.saved_network import CONFIG_FILE, read_config
from mbps_dataset.models.transformers_loading import load_complete, without_progress_bars


VARIANTS = ("reference", "true", "full")
"""What is called attention; see the module's description."""


def require_variant(variant: str) -> None:
    """Raises `ValueError` for anything that is none of `VARIANTS`."""
    if variant not in VARIANTS:
        raise ValueError(f"variant must be one of {', '.join(VARIANTS)}, but is {variant!r}.")


def attention_to_patches(scores: Tensor, prefix: int, variant: str) -> Tensor:
    """Softmax of the class token's scores [..., tokens], of which `prefix` are no patches: weights of patches [..., P].

    Over all tokens for "full", over the patches alone otherwise.
    """
    if variant == "full":
        return torch.softmax(scores, dim=-1)[..., prefix:]
    return torch.softmax(scores[..., prefix:], dim=-1)


class ClsAttention(nn.Module):
    """Pixels [B, 3, H, W], ImageNet-normalised → attention of the class token to each patch [B, h, w]."""

    def __init__(self, backbone: DINOv3ViTModel | DINOv3ViTConfig) -> None:
        super().__init__()
        self.backbone = DINOv3ViTModel(backbone) if isinstance(backbone, DINOv3ViTConfig) else backbone

    @property
    def patch_size(self) -> int:
        """Side of a patch in pixels; image sides must be multiples of it."""
        side = self.backbone.config.patch_size
        return side if isinstance(side, int) else int(side[0])

    def forward(self, pixels: Tensor, variant: str = "reference") -> Tensor:
        return self.attention(pixels, variant=variant)

    def attention(self, pixels: Tensor, variant: str = "reference") -> Tensor:
        """float32 [B, h, w], h = H / patch, w = W / patch, mean over heads; `variant` one of `VARIANTS`.

        Sums to one over the patches of an image, less for "full". Raises `ValueError`.
        """
        require_variant(variant)
        if pixels.ndim != 4 or any(side % self.patch_size or side == 0 for side in pixels.shape[-2:]):
            raise ValueError(
                f"Expected pixels [B, 3, H, W] with sides a multiple of {self.patch_size}, but got {tuple(pixels.shape)}."
            )
        queries, keys = self._last_queries_and_keys(pixels, rotate=variant != "reference")
        prefix = 1 + self.backbone.config.num_register_tokens
        scores = queries[:, :, :1] @ keys.transpose(-1, -2) * queries.shape[-1] ** -0.5
        height, width = (side // self.patch_size for side in pixels.shape[-2:])
        return attention_to_patches(scores, prefix, variant).mean(dim=1).reshape(len(pixels), height, width)

    def _last_queries_and_keys(self, pixels: Tensor, *, rotate: bool) -> tuple[Tensor, Tensor]:
        """Queries and keys of the last layer, [B, heads, tokens, dimensions of a head]."""
        network = self.backbone
        *layers, last = layers_of(network)
        pixels = pixels.to(network.embeddings.patch_embeddings.weight.dtype)
        tokens, positions = network.embeddings(pixels), network.rope_embeddings(pixels)
        for layer in layers:
            tokens = layer(tokens, position_embeddings=positions)
        tokens, attention = last.norm1(tokens), last.attention
        heads = (attention.num_heads, attention.head_dim)
        queries = attention.q_proj(tokens).unflatten(-1, heads).transpose(1, 2)
        keys = attention.k_proj(tokens).unflatten(-1, heads).transpose(1, 2)
        if rotate:
            queries, keys = apply_rotary_pos_emb(queries, keys, *positions)
        return queries, keys

    @classmethod
    def from_pretrained(cls, folder_or_hub_id: str | Path, **hub_arguments: Any) -> ClsAttention:
        """Load a DINOv3 ViT in the layout of transformers, from a folder or the Hub.

        Only safetensors are read. Raises `WeightsError` if a tensor is missing or the network is of another kind.
        """
        expected = (
            "a DINOv3 ViT (such as facebook/dinov3-vitb16-pretrain-lvd1689m, whose licence is accepted on the Hub)"
        )
        if (Path(folder_or_hub_id) / CONFIG_FILE).is_file():
            read_config(folder_or_hub_id)  # transformers assumes that it is an object
        try:
            described, _ = DINOv3ViTConfig.get_config_dict(str(folder_or_hub_id), **hub_arguments)
        except (OSError, ValueError) as error:
            reason = str(error).strip().splitlines()[0].rstrip(".")
            raise WeightsError(f"{folder_or_hub_id} cannot be loaded as {expected} ({reason}).") from error
        kind = described.get("model_type", "network of no type")
        if kind != DINOv3ViTConfig.model_type:
            raise WeightsError(f"Expected {expected}, but the config.json of {folder_or_hub_id} describes a {kind}.")
        return cls(load_complete(DINOv3ViTModel, folder_or_hub_id, expected=expected, **hub_arguments)).eval()

    def save_pretrained(self, folder: str | Path) -> None:
        """Write `config.json` and `model.safetensors` in the layout of transformers."""
        with without_progress_bars():
            self.backbone.save_pretrained(str(folder))


def layers_of(network: DINOv3ViTModel) -> Sequence[DINOv3ViTLayer]:
    """The transformer layers, first to last, under either of transformers' names."""
    holder: Any = network if hasattr(network, "layer") else network.model
    return holder.layer
