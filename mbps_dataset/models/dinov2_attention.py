"""Where the class token of a DINOv2 looks: its attention to the patches in the last block, mean over heads.

DINOv2 adds positions to its tokens once and rotates nothing, so "reference" and "true" of `models.attention` are one
here: softmax over the patches alone, without class token and registers. "full" is the softmax over all tokens.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from mbps_dataset.models.attention import attention_to_patches, require_variant
from mbps_dataset.models.backbone_tokens import load_dinov2
from mbps_dataset.models.dinov2 import Dinov2Backbone


class Dinov2ClsAttention(nn.Module):
    """Pixels [B, 3, H, W], ImageNet-normalised → attention of the class token to each patch [B, h, w]."""

    def __init__(self, backbone: Dinov2Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    @property
    def patch_size(self) -> int:
        """Side of a patch in pixels; image sides must be multiples of it."""
        return self.backbone.patch_size

    def attention(self, pixels: Tensor, variant: str = "reference") -> Tensor:
        """float32 [B, h, w], h = H / patch, w = W / patch, mean over heads; `variant` one of `attention.VARIANTS`.

        Sums to one over the patches of an image, less for "full". Raises `ValueError`.
        """
        require_variant(variant)
        attention, tokens = self._tokens_before_last_attention(pixels)
        if not hasattr(attention, "q_proj"):  # transformers 4
            attention = attention.attention
        queries, keys = (getattr(attention, "q_proj", None), getattr(attention, "k_proj", None))
        queries, keys = queries or attention.query, keys or attention.key
        query, key = queries(tokens[:, :1]), keys(tokens)
        heads = (attention.num_attention_heads, -1)
        scores = query.unflatten(-1, heads).transpose(1, 2) @ key.unflatten(-1, heads).permute(0, 2, 3, 1)
        scores = scores[:, :, 0].float() * (key.shape[-1] // heads[0]) ** -0.5
        prefix = 1 + self.backbone.registers
        weights = attention_to_patches(scores, prefix, variant)
        height, width = (side // self.patch_size for side in pixels.shape[-2:])
        return weights.mean(dim=1).reshape(len(pixels), height, width)

    def _tokens_before_last_attention(self, pixels: Tensor) -> tuple[Any, Tensor]:
        """The attention of the last block and what goes into it, [B, tokens, D]."""
        attention: Any = self.backbone.model.encoder.layer[-1].attention
        seen: list[Tensor] = []
        hook = attention.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
        try:
            self.backbone.features(pixels)
        finally:
            hook.remove()
        return attention, seen[0]

    @classmethod
    def from_pretrained(cls, folder_or_hub_id: str | Path) -> Dinov2ClsAttention:
        """Load a DINOv2 of transformers or the backbone of CAUSE weights. Raises `WeightsError`."""
        return cls(load_dinov2(folder_or_hub_id)).eval()
