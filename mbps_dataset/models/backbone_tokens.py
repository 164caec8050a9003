"""A DINOv2 whose tokens are codes: a network of transformers, or the backbone of CAUSE weights, without any head."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from mbps_dataset.models.cause import CauseSegmenter
from mbps_dataset.models.dinov2 import Dinov2Backbone, dinov2_of_transformers
from mbps_dataset.models.saved_network import CONFIG_FILE, read_config


class BackboneTokens(nn.Module):
    """Windows to the patch tokens of `backbone`, in the place of a network with codes."""

    def __init__(self, backbone: Dinov2Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def codes(self, pixels: torch.Tensor, /) -> torch.Tensor:
        """Tokens after the last norm: pixels [B, 3, S, S] (ImageNet-normalised) -> [B, P, D], P row by row."""
        return self.backbone.features(pixels)

    @classmethod
    def from_pretrained(cls, folder_or_hub_id: str | Path) -> BackboneTokens:
        """The DINOv2 network, with or without registers, or the backbone of CAUSE weights; in evaluation mode.

        Raises `WeightsError` if it is another network, cannot be read or lacks a tensor.
        """
        return cls(load_dinov2(folder_or_hub_id)).eval()


def load_dinov2(folder_or_hub_id: str | Path) -> Dinov2Backbone:
    """The backbone of a folder or Hub id of either layout. Raises `WeightsError`."""
    if (Path(folder_or_hub_id) / CONFIG_FILE).is_file() and "codebook_size" in read_config(folder_or_hub_id):
        return CauseSegmenter.from_pretrained(folder_or_hub_id).backbone
    state, sizes = dinov2_of_transformers(folder_or_hub_id)
    backbone = Dinov2Backbone(**sizes)
    backbone.load_reference_state(state, source=str(folder_or_hub_id))
    return backbone
